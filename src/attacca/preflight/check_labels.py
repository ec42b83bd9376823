"""Checks that labels fit the task of a run: their channels, and the values that they hold."""

from collections.abc import Iterator

import numpy as np

from attacca.config.problems import Problem
from attacca.config.run import Configuration, RunConfig
from attacca.config.volumes import VolumeConfig
from attacca.config.yaml_text import KeyPath
from attacca.errors import AttaccaError
from attacca.predictors.one_hot_predictor import describe_unknown_classes
from attacca.volumes import VolumePlan
from attacca.volumes.sample_values import sample_values


def check_labels(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem]:
    """Yield the problems between the task of a run and the labels of its volumes.

    Args:
        configuration: contains the run.
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    task = run.task.learned_task
    section = ("runs", name, "task", *run.task.learned_task_key)
    for volume in run.volumes.used:
        config, plan = configuration.volumes[volume], plans.get(volume)
        requirement = task.label_requirement(config.class_names)
        if requirement is None or plan is None or "labels" not in plan.arrays:
            continue
        key = (*section, requirement.key)
        labels = plan.arrays["labels"]
        channels = labels.num_channels or 1
        if channels != requirement.channels:
            count = "one channel" if channels == 1 else f"{channels} channels"
            found = f"{requirement.reason}, but the labels of '{volume}' have {count}"
            yield Problem(key, found, requirement.fix)
            continue
        # Labels of test volumes are scored only.
        classes = None if volume in run.volumes.test else task.label_classes
        values = np.array([], dtype=np.uint64)
        unnamed = classes is not None and config.labels is not None and config.labels.classes is None
        if unnamed or any(placed.source.dtype.kind == "i" for placed in labels.sources):
            try:
                values = np.unique(sample_values(config, plan, labels))
            except AttaccaError as error:
                yield Problem(("volumes", volume, "labels"), message=error.problem, hint=error.fix)
        if classes is not None:
            yield from _check_classes(key, classes, volume, config, values)


def _check_classes(
    key: KeyPath, classes: list[str], volume: str, config: VolumeConfig, values: np.ndarray
) -> Iterator[Problem]:
    """Yield a problem for labels with values that are not classes of the task.

    Args:
        key: key of the task's classes.
        classes: names of the classes.
        volume: name of the volume.
        config: settings of the volume.
        values: sorted values of some sections; not used if the configuration names the classes of the labels.
    """
    if config.synthetic is not None and config.synthetic.labels in ("neurites", "mitochondria"):
        found = f"classes, but the labels of '{volume}' are one id per object ({config.synthetic.labels})"
        yield Problem(key, found, "labels of classes: labels: classes under synthetic")
        return
    if config.class_names is not None:
        values = np.arange(len(config.class_names) + 1, dtype=np.uint64)
    elif config.mask is not None:
        # The values outside the mask do not count, and the mask is not read here.
        return
    beyond = values[values >= len(classes)]
    if config.unlabelled is not None:
        beyond = beyond[beyond != config.unlabelled]
    if len(beyond):
        yield Problem(key, message=f"'{volume}': {describe_unknown_classes(beyond, classes)}")
