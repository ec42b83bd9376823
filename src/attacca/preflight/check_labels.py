"""Whether labels are what a run's task learns from: their channels, and the classes that they hold."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from attacca.config.problems import Problem
from attacca.config.run import Configuration, RunConfig
from attacca.config.volumes import VolumeConfig
from attacca.errors import AttaccaError
from attacca.volumes import VolumePlan
from attacca.volumes.samples import sampled_values


def check_labels(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterable[Problem]:
    """What does not fit between the task of a run and the labels of its volumes."""
    task: Any = getattr(run.task, "sub_task_config", run.task)
    if task.type == "dummy":
        return
    key = "classes" if task.type == "one_hot" else "channels"
    inner = () if task is run.task else ("sub_task_config",)
    place = ("runs", name, "task", *inner, key if hasattr(task, key) else "type")
    for volume in dict.fromkeys((*run.volumes.train, *run.volumes.segmented)):
        config, plan = configuration.volumes[volume], plans.get(volume)
        if plan is None or "labels" not in plan.arrays:
            continue
        channels = plan.arrays["labels"].num_channels or 1
        wanted, reason = _channels(task)
        if channels != wanted:
            yield Problem(
                place,
                f"{reason}, but the labels of '{volume}' have {_counted(channels)}",
                _advice(task, config),
            )
            continue
        chooses = task.type == "one_hot" and volume not in run.volumes.test
        signed = any(placed.source.dtype.kind == "i" for placed in plan.arrays["labels"].sources)
        values = np.array([], dtype=np.uint64)
        if signed or (chooses and config.labels is not None and config.labels.classes is None):
            try:
                values = np.unique(sampled_values(config, plan, plan.arrays["labels"]))
            except AttaccaError as error:
                yield Problem(("volumes", volume, "labels"), message=str(error))
        if chooses:
            yield from _class_problems(place, task.classes, volume, config, values)


def _counted(channels: int) -> str:
    return "one channel" if channels == 1 else f"{channels} channels"


def _channels(task: Any) -> tuple[int, str]:
    """How many channels the task's labels have, and why."""
    if task.type in ("distance", "inner_distance", "hot_distance"):
        if task.class_ids is not None:
            return 1, "class_ids, which take one volume of class ids"
        return len(task.channels), f"{len(task.channels)} channels ({', '.join(task.channels)})"
    return 1, f"{task.type}, which takes one id for each voxel"


def _advice(task: Any, config: VolumeConfig) -> str:
    if not hasattr(task, "class_ids"):
        return "labels of one channel; labels.combine: ids makes one volume of several classes"
    if task.class_ids is not None:
        return "labels of one channel (labels.combine: ids), or no class_ids"
    names = config.class_names
    ids = f" ({', '.join(f'{i} {name}' for i, name in enumerate(names, 1))})" if names else ""
    return (
        f"one channel of labels for each: labels.classes with combine: channels; or class_ids under task, which "
        f"say what id in the labels each channel is{ids}"
    )


def _class_problems(
    place: tuple[str | int, ...], classes: list[str], volume: str, config: VolumeConfig, values: np.ndarray
) -> Iterable[Problem]:
    """Values that are no class, among those that were looked at and those that the configuration names."""
    from attacca.predictors.one_hot_predictor import describe_unknown_classes

    if config.synthetic is not None and config.synthetic.labels in ("neurites", "mitochondria"):
        yield Problem(
            place,
            f"classes, but the labels of '{volume}' are an id for each of its {config.synthetic.labels}",
            "labels of classes: labels: classes under synthetic",
        )
        return
    if config.class_names is not None:
        values = np.arange(len(config.class_names) + 1, dtype=np.uint64)
    elif config.mask is not None:
        # Only who reads all voxels knows which of those that count are of no class.
        return
    beyond = values[values >= len(classes)]
    if config.unlabelled is not None:
        beyond = beyond[beyond != config.unlabelled]
    if len(beyond):
        yield Problem(place, message=f"'{volume}': {describe_unknown_classes(beyond, classes)}")
