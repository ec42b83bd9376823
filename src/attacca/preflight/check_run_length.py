"""Checks of the scores along skeletons."""

from collections.abc import Iterator

import numpy as np

from attacca.config.evaluation import RunLengthConfig
from attacca.config.problems import Problem
from attacca.config.run import Configuration, RunConfig
from attacca.config.units import convert_length
from attacca.config.yaml_text import KeyPath
from attacca.errors import AttaccaError
from attacca.preflight.check_export import check_packages
from attacca.volumes import VolumePlan


def check_run_length(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem]:
    """Yield the problems of ``evaluation.run_length``: a missing package or file, and tasks without run lengths.

    Args:
        configuration: contains the run.
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    if not run.evaluation.run_length:
        return
    key = ("runs", name, "evaluation", "run_length")
    given = run.evaluation.run_length
    if isinstance(given, RunLengthConfig):
        for volume in run.volumes.segmented:
            if volume in plans and configuration.volumes[volume].has_labels:
                yield from _check_files((*key, "skeletons"), given, volume, plans[volume])
    else:
        yield from check_packages(key, "skeletons")
    if not run.task.agglomerates:
        kind = type(run.task.learned_task).model_fields["type"].default
        yield Problem(key, f"run lengths for a task of type {kind}", "a task of type affinities")
    flat = [volume for volume in run.volumes.segmented if volume in plans and len(plans[volume].axes) == 2]
    if flat:
        yield Problem(key, f"run lengths for {', '.join(flat)}, which is 2D", "3D volumes")


def _check_files(key: KeyPath, config: RunLengthConfig, volume: str, plan: VolumePlan) -> Iterator[Problem]:
    """Yield a problem for files that are missing or damaged, or of which no node is inside the volume."""
    # deferred: scipy.sparse takes 0.1 s to import
    from attacca.export.swc import read_skeletons

    try:
        skeletons = read_skeletons(config.skeletons, volume, config.unit)
    except AttaccaError as error:
        yield Problem(key, message=error.problem, hint=error.fix)
        return
    if len(plan.axes) == 2:
        return
    nodes = np.concatenate([skeleton.vertices for skeleton in skeletons])
    lower, upper = (
        np.array(convert_length(tuple(edge), plan.unit, "nanometer"))[::-1]
        for edge in (plan.roi.begin, plan.roi.end)
    )
    if not ((nodes >= lower) & (nodes < upper)).all(axis=1).any():
        yield Problem(
            key,
            f"skeletons of {volume} at x, y, z {_join(nodes.min(axis=0), nodes.max(axis=0))} nm",
            f"nodes inside the volume, {_join(lower, upper)} nm",
            "check the unit and the order x, y, z of the coordinates, and the offset of the volume",
        )


def _join(lower: np.ndarray, upper: np.ndarray) -> str:
    return ", ".join(f"{low:g}..{high:g}" for low, high in zip(lower, upper))
