"""Check that labeled voxels do not serve two purposes in a run: training, choice of settings, or test."""

import os
from collections.abc import Iterator
from itertools import combinations

from funlib.geometry import Roi

from attacca.config.run import Configuration, RunConfig
from attacca.config.volumes import VolumeConfig
from attacca.volumes import VolumePlan
from attacca.volumes.placement import format_roi


def check_shared_voxels(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[str]:
    """Yield a warning for each pair of volumes of different purposes whose labels are at the same voxels of one image.

    Copies of an image under other names are not recognized.

    Args:
        configuration: contains the run.
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    regions = []
    for purpose, names in (
        ("train", run.volumes.train),
        ("validate", run.volumes.validation),
        ("test", run.volumes.test),
    ):
        for volume in names:
            if volume in plans and "labels" in plans[volume].arrays:
                image, roi = _find_labeled_region(configuration.volumes[volume], plans[volume])
                regions.append((purpose, volume, image, roi))
    for (purpose, volume, image, roi), (other_purpose, other, other_image, other_roi) in combinations(
        regions, 2
    ):
        if purpose == other_purpose or image != other_image or plans[volume].unit != plans[other].unit:
            continue
        if roi.dims != other_roi.dims or roi.intersect(other_roi).empty:
            continue
        yield (
            f"runs.{name}.volumes: {volume} ({purpose}) and {other} ({other_purpose}) have labels at the same voxels of one "
            f"image, {format_roi(roi.intersect(other_roi))} {plans[volume].unit}: scores of {other} are better than those "
            "of other tissue. Give each purpose voxels of its own, by 'roi' for example"
        )


def _find_labeled_region(config: VolumeConfig, plan: VolumePlan) -> tuple[str, Roi]:
    """Return a description that is equal for volumes of one image, and the region of the labels in that image."""
    if config.synthetic is not None or config.raw is None:
        return repr(config.synthetic), plan.arrays["labels"].roi
    placed = plan.arrays["raw"].sources[0]
    path, source = str(config.raw.path), placed.source.name
    name = os.path.realpath(path) + source.removeprefix(path) if os.path.exists(path) else source
    # Volumes may place one image at different offsets.
    roi = plan.arrays["labels"].roi
    return f"{name} {config.raw.channel}", Roi(roi.begin - placed.roi.begin, roi.shape)
