"""Checks of the formats in which a run's segmentations are exported."""

from collections.abc import Iterator

from attacca.config.export import EXTRA_PACKAGES, PrecomputedExport
from attacca.config.problems import Problem
from attacca.config.run import RunConfig
from attacca.config.yaml_text import KeyPath
from attacca.extras import find_missing, make_install_command
from attacca.volumes import VolumePlan


def check_export(name: str, run: RunConfig, plans: dict[str, VolumePlan]) -> Iterator[Problem]:
    """Yield the problems of a run's exports: missing packages, and formats that its volumes do not have.

    Args:
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    section = ("runs", name, "export")
    if not run.export.formats:
        return
    if not run.volumes.segmented:
        yield Problem(
            section,
            "a run without volumes to segment",
            "volumes under 'validate' or 'test', which are exported",
        )
    task = run.task
    if not task.agglomerates and task.label_classes is None and task.num_channels > 1:
        found = f"a segmentation with {task.num_channels} channels ({', '.join(task.class_names)})"
        yield Problem(section, found, "a segmentation with one id per voxel")
    precomputed = run.export.formats.get("precomputed")
    if not isinstance(precomputed, PrecomputedExport):
        return
    flat = [volume for volume in run.volumes.segmented if volume in plans and len(plans[volume].axes) == 2]
    for setting in EXTRA_PACKAGES:
        if not getattr(precomputed, setting):
            continue
        key = (*section, "precomputed", setting)
        yield from check_packages(key, setting)
        if flat:
            yield Problem(key, f"{setting} of {', '.join(flat)}, which is 2D", "3D volumes")


def check_packages(key: KeyPath, setting: str) -> Iterator[Problem]:
    """Yield a problem if a package is missing that makes ``meshes`` or ``skeletons``.

    Args:
        key: setting of the configuration that needs the package.
        setting: key of ``EXTRA_PACKAGES``.
    """
    missing = find_missing(EXTRA_PACKAGES[setting])
    if missing:
        yield Problem(
            key,
            message=f"{setting} need the package {' and '.join(missing)}, which is not installed",
            hint=make_install_command("export"),
        )
