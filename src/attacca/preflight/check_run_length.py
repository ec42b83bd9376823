"""Checks of the scores along skeletons."""

from collections.abc import Iterator
from importlib.util import find_spec

from attacca.config.export import EXTRA_PACKAGES
from attacca.config.problems import Problem
from attacca.config.run import RunConfig
from attacca.volumes import VolumePlan


def check_run_length(name: str, run: RunConfig, plans: dict[str, VolumePlan]) -> Iterator[Problem]:
    """Yield the problems of ``evaluation.run_length``: a missing package, and segmentations that have no run lengths.

    Args:
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    if not run.evaluation.run_length:
        return
    key = ("runs", name, "evaluation", "run_length")
    missing = [package for package in EXTRA_PACKAGES["skeletons"] if find_spec(package) is None]
    if missing:
        yield Problem(
            key,
            message=f"skeletons need the package {' and '.join(missing)}, which is not installed",
            hint="python -m pip install 'attacca[export]'",
        )
    if not run.task.agglomerates:
        kind = type(run.task.learned_task).model_fields["type"].default
        yield Problem(key, f"true for a task of type {kind}", "a task of type affinities")
    flat = [volume for volume in run.volumes.segmented if volume in plans and len(plans[volume].axes) == 2]
    if flat:
        yield Problem(key, f"true for {', '.join(flat)}, which is 2D", "3D volumes")
