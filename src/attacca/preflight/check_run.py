"""Checks of a run against its volumes: axes, voxel sizes, the network's input, blocks, criteria."""

from collections.abc import Iterable
from typing import Any

from attacca.architectures.shapes import check_input_shape, output_shape, unet_axes
from attacca.config.problems import Problem, shown
from attacca.config.run import Configuration, RunConfig
from attacca.errors import ConfigurationError
from attacca.prediction.sizes import ConfiguredSizes, SizeError, plan_prediction
from attacca.stages.segmentation_settings import BlockSizeError, block_voxels
from attacca.volumes import VolumePlan


def check_run(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterable[Problem]:
    """What does not fit each other in a run: its volumes, task, network and sizes.

    Args:
        configuration: the whole.
        name: of the run.
        run: its settings.
        plans: the import of each volume that can be read, by name.
    """
    place = ("runs", name)
    for key, names in (("train", run.volumes.train), ("validate", run.volumes.validation)):
        for index, volume in enumerate(names):
            if not configuration.volumes[volume].has_labels:
                yield Problem(
                    (*place, "volumes", key, index),
                    f"'{volume}', which has no labels",
                    f"a volume with labels; give volumes.{volume} its 'labels', or use it under test",
                )
    weights = getattr(run.task, "weights", None)
    if weights is not None and not weights.is_relative_to(configuration.results) and not weights.is_file():
        expected = "a checkpoint, or the best.json beside it"
        yield Problem((*place, "task", "weights"), f"'{weights}', which is not there", expected)
    yield from _criterion_problems(place, run)
    dims = {
        volume: len(plans[volume].axes)
        for volume in (*run.volumes.train, *run.volumes.segmented)
        if volume in plans
    }
    if len(set(dims.values())) > 1:
        text = ", ".join(f"{volume} is {count}D" for volume, count in dims.items())
        yield Problem((*place, "volumes"), text, "volumes with the same number of axes in one run")
        return
    sizes = {volume: (tuple(plans[volume].voxel_size), plans[volume].unit) for volume in dims}
    if len(set(sizes.values())) > 1:
        text = ", ".join(f"{volume} has {list(size)} {unit}" for volume, (size, unit) in sizes.items())
        yield Problem(
            (*place, "volumes"),
            text,
            "volumes with the same voxel size in one run: a network that learnt one size does not know another",
        )
    if not dims:
        return
    axes = next(iter(dims.values()))
    yield from _dimension_problems(place, run, axes)
    yield from _size_problems(configuration, name, run, plans, axes)


def _criterion_problems(place: tuple[str, ...], run: RunConfig) -> Iterable[Problem]:
    wanted = {
        ("evaluation", "criterion"): run.evaluation.criterion,
        ("segmentation", "criterion"): run.segmentation.criterion,
        ("training", "validation", "criterion"): run.training.validation.criterion,
    }
    task: Any = getattr(run.task, "sub_task_config", run.task)
    if task.type != "affinities":
        # The other tasks have no use for the section.
        del wanted["segmentation", "criterion"]
    named = {key: name for key, name in wanted.items() if name is not None and name != "loss"}
    if not named:
        return
    # Scores need libraries that take a while to load.
    from attacca.stages.scoring import create_evaluator, higher_is_better

    scores = create_evaluator(task, run.evaluation, None).score
    for key, name in named.items():
        try:
            higher_is_better(scores, name)
        except KeyError:
            choices = dict.fromkeys(known.rpartition("__")[2] for known in scores.criteria)
            channels = (
                " (mean over the channels, or of one: CHANNEL__SCORE)"
                if len(choices) < len(scores.criteria)
                else ""
            )
            loss = "loss or " if key[0] == "training" else ""
            yield Problem((*place, *key), f"'{name}'", f"{loss}one of {', '.join(choices)}{channels}")


def _dimension_problems(place: tuple[str, ...], run: RunConfig, axes: int) -> Iterable[Problem]:
    task: Any = getattr(run.task, "sub_task_config", run.task)
    words = f"{axes} numbers, since the volumes of this run are {axes}D"
    if task.type == "affinities":
        offset = task.neighborhood[0]
        if len(offset) != axes:
            yield Problem(
                (*place, "task", "neighborhood"),
                f"offsets of {len(offset)} numbers, such as {list(offset)}",
                f"offsets of {words}",
            )
        else:
            try:
                run.segmentation.check_offsets([list(offset) for offset in task.neighborhood])
            except ValueError as error:
                yield Problem((*place, "segmentation"), message=str(error))
    if len(run.architecture.input_shape) != axes:
        yield Problem(
            (*place, "architecture", "input_shape"), shown(list(run.architecture.input_shape)), words
        )
    for key in ("block_size", "tile_size"):
        sizes = getattr(run.prediction, key)
        if sizes is not None and len(sizes) != axes:
            yield Problem((*place, "prediction", key), shown(sizes), words)


def _head_kernel(task: Any) -> int:
    """Edge of the last convolution of a task's network."""
    if task.type not in ("one_hot", "hot_distance"):
        return 1
    from attacca.predictors.predictor import DEFAULT_HEAD_KERNEL

    return int(task.kernel_size or DEFAULT_HEAD_KERNEL)


def _head_problems(place: tuple[str, ...], run: RunConfig) -> Iterable[Problem]:
    task: Any = getattr(run.task, "sub_task_config", run.task)
    kernel = _head_kernel(task)
    left = output_shape(unet_axes(run.architecture), run.architecture.input_shape)
    if min(left) < kernel:
        yield Problem(
            (*place, "architecture", "input_shape"),
            f"{list(run.architecture.input_shape)}, of which the network leaves {list(left)}",
            f"at least {kernel} voxels along each axis for the last convolution of the task {task.type}; "
            "set kernel_size: 1 under task, or make the input larger",
        )


def _block_problems(
    place: tuple[str, ...], run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterable[Problem]:
    """Sizes of blocks that stages after the training would refuse, told by what these stages ask."""
    dims = len(run.architecture.input_shape)
    prediction, segmentation = run.prediction, run.segmentation
    if any(
        sizes is not None and len(sizes) != dims for sizes in (prediction.block_size, prediction.tile_size)
    ):
        # Told already.
        return
    task: Any = getattr(run.task, "sub_task_config", run.task)
    try:
        sizes = plan_prediction(ConfiguredSizes(run.architecture, _head_kernel(task)), prediction)
    except SizeError as error:
        yield Problem((*place, *error.key), error.found, error.expected)
        return
    if task.type != "affinities" or segmentation.block_size is None:
        return
    for volume in run.volumes.segmented:
        if volume in plans:
            extent = [int(size) for size in plans[volume].roi.shape / plans[volume].voxel_size]
            chunk = [min(int(c), size) for c, size in zip(sizes.chunk, extent)]
            try:
                block_voxels(chunk, extent, segmentation.block_size)
            except BlockSizeError as error:
                yield Problem((*place, "segmentation", "block_size"), error.found, error.expected)
                return


def _size_problems(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan], axes: int
) -> Iterable[Problem]:
    place = ("runs", name)
    if len(run.architecture.input_shape) != axes:
        return
    shape = run.architecture.input_shape
    try:
        check_input_shape(unet_axes(run.architecture), shape)
    except ConfigurationError as error:
        yield Problem((*place, "architecture", "input_shape"), shown(list(shape)), message=str(error))
    else:
        yield from _head_problems(place, run)
        yield from _block_problems(place, run, plans)
    for index, volume in enumerate(run.volumes.train):
        if volume not in plans or "labels" not in plans[volume].arrays:
            continue
        plan = plans[volume]
        extent = tuple(plan.arrays["labels"].roi.shape / plan.voxel_size)
        if min(extent) < 1:
            yield Problem(
                (*place, "volumes", "train", index), f"'{volume}', whose labels are empty", "labelled voxels"
            )
