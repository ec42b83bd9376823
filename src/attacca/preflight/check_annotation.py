"""Checks that labels contain annotation: voxels of objects, and of each class of the task."""

import math
from collections.abc import Iterator

import numpy as np
from funlib.geometry import Roi

from attacca.config.problems import Problem
from attacca.config.run import Configuration, RunConfig
from attacca.config.volumes import VolumeConfig
from attacca.errors import AttaccaError
from attacca.predictors.affinity_targets import compute_partner_masks
from attacca.volumes import VolumePlan
from attacca.volumes.import_volume import import_block

_MOST_VOXELS = 1 << 24
_MOST_SECTIONS = 1000
"""Labels up to this size are read as a whole. Larger ones are not read: an import reads them in any case."""


def check_annotation(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem | str]:
    """Yield problems of volumes without any annotation, and warnings of volumes and classes without objects.

    A volume without an object is legitimate: a negative example. Training volumes of which none has an object are not.

    Args:
        configuration: contains the run.
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    found: dict[str, set[int]] = {}
    learned = run.task.learned_task
    # Tasks of extensions may have offsets of their own.
    masks_partners = run.is_trained and getattr(learned, "mask_partners", False)
    offsets = dict(enumerate(learned.offsets if masks_partners else ()))
    for volume in run.volumes.used:
        config, plan = configuration.volumes[volume], plans.get(volume)
        if plan is None or config.labels is None or "labels" not in plan.arrays:
            continue
        try:
            labels = _read_labels(config, plan)
        except AttaccaError as error:
            yield Problem(("volumes", volume, "labels"), message=error.problem, hint=error.fix)
            continue
        if labels is None:
            offsets = {} if volume in run.volumes.train else offsets
            continue
        ids = {int(value) for value in np.unique(labels)} - {config.unlabelled}
        if volume in run.volumes.train:
            # Without a value for voxels that are not annotated, each offset has pairs.
            annotated = None if config.unlabelled is None else labels != config.unlabelled
            offsets = {
                index: offset
                for index, offset in offsets.items()
                if annotated is not None and not compute_partner_masks(annotated, [offset]).any()
            }
        if not ids:
            yield Problem(
                ("volumes", volume, "labels"),
                f"labels that hold only {config.unlabelled}, the value of voxels without annotation",
                "annotated voxels: check path, dataset, roi and offset",
            )
        elif ids == {0}:
            yield f"volumes.{volume}: the labels hold no object, only 0: an example without objects, or another file"
        found[volume] = ids
    if run.is_trained and set(found) >= set(run.volumes.train):
        # Training volumes without any annotation have a problem of their own.
        for index, offset in offsets.items() if all(found[volume] for volume in run.volumes.train) else ():
            key = ".".join(("runs", name, "task", *run.task.learned_task_key, f"neighborhood[{index}]"))
            yield (
                f"{key}: no two annotated voxels of the training volumes are {offset} voxels apart, so that this affinity "
                "is not learned, and its prediction is arbitrary. Annotate neighboring sections"
            )
        yield from _check_training(configuration, name, run, [found[volume] for volume in run.volumes.train])


def _check_training(
    configuration: Configuration, name: str, run: RunConfig, found: list[set[int]]
) -> Iterator[Problem | str]:
    """Yield a problem if no training volume has an object, and a warning for each class without one.

    Args:
        configuration, name, run: as for ``check_annotation``.
        found: ids in the labels of each training volume.
    """
    ids = set().union(*found)
    task = run.task.learned_task
    if ids == {0} and task.label_classes is None:
        found_text = "training volumes without a single object: their labels hold only 0"
        yield Problem(("runs", name, "volumes", "train"), found_text, "a volume with annotated objects")
        return
    first = configuration.volumes[run.volumes.train[0]]
    if task.label_classes is not None:
        classes = dict(enumerate(task.label_classes))
    elif first.class_names is not None and first.labels is not None and first.labels.combine == "ids":
        classes = dict(enumerate(first.class_names, start=1))
    elif task.channel_ids is not None:
        classes = {number: f"id {number}" for number in task.channel_ids}
    else:
        return
    missing = [name for number, name in classes.items() if number not in ids]
    if missing:
        yield f"runs.{name}: no training volume holds a voxel of {', '.join(missing)}"


def _read_labels(config: VolumeConfig, plan: VolumePlan) -> np.ndarray | None:
    """Return the labels of a volume; None if they are too large to be read, or channels."""
    labels = plan.arrays["labels"]
    shape = labels.roi.shape / plan.voxel_size
    is_deep = len(shape) == 3 and shape[0] > _MOST_SECTIONS
    if math.prod(shape) > _MOST_VOXELS or is_deep or labels.num_channels is not None:
        return None
    return import_block(config, plan, labels, Roi(labels.roi.begin, labels.roi.shape))
