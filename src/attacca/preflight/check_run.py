"""Checks of a run against its volumes: axes, voxel sizes, the network's input, blocks, criteria."""

import math
from collections.abc import Iterator, Sequence

from attacca.architectures.measured_network import measure_network
from attacca.architectures.operations import estimate_training_bytes
from attacca.architectures.shapes import check_input_shape, compute_output_shape, create_axes
from attacca.config.architecture import ArchitectureConfig, UNetConfig
from attacca.config.problems import Problem, format_value
from attacca.config.run import Configuration, RunConfig
from attacca.config.units import find_largest_difference
from attacca.config.yaml_text import KeyPath
from attacca.errors import ConfigurationError
from attacca.prediction.sizes import ConfiguredSizes, SizeError, choose_sizes
from attacca.tasks import create_task
from attacca.volumes import VolumePlan

_LARGEST_TRAINING = 4 << 40
"""Bytes of memory, more than any GPU or node has."""


def check_run(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem]:
    """Yield the problems between the volumes, the task, the network and the sizes of a run.

    Args:
        configuration: contains the run.
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    section = ("runs", name)
    yield from _check_labeled_volumes(section, configuration, run, plans)
    weights = run.task.initial_weights
    if weights is not None and not weights.is_relative_to(configuration.results) and not weights.is_file():
        found = f"'{weights}', which is not there"
        yield Problem((*section, "task", "weights"), found, "a checkpoint, or the best.json beside it")
    yield from _check_criteria(section, run)
    yield from _check_objects(section, run)
    used = {volume: plans[volume] for volume in run.volumes.used if volume in plans}
    if len({len(plan.axes) for plan in used.values()}) > 1:
        found = ", ".join(f"{volume} is {len(plan.axes)}D" for volume, plan in used.items())
        yield Problem((*section, "volumes"), found, "volumes with the same number of axes in one run")
        return
    problem = _check_voxel_sizes(section, run, used)
    if problem is not None:
        yield problem
        return
    if not used:
        return
    axes = len(next(iter(used.values())).axes)
    yield from _check_axes(section, run, axes)
    yield from _check_memory((*section, "architecture"), run)
    if len(run.architecture.input_shape) == axes:
        yield from _check_network(section, run)


def _check_voxel_sizes(section: KeyPath, run: RunConfig, used: dict[str, VolumePlan]) -> Problem | None:
    """Return a problem if the voxel sizes of a run differ by more than its tolerance."""
    if not used:
        return None
    first = next(iter(used.values()))
    same_unit = [plan for plan in used.values() if plan.unit == first.unit]
    difference = max(find_largest_difference(plan.voxel_size, first.voxel_size) for plan in same_unit)
    if len(same_unit) == len(used) and difference <= run.training.voxel_size_tolerance:
        return None
    hint = ""
    if len(same_unit) == len(used) and difference <= 0.5:
        tolerance = math.ceil(100 * difference) / 100
        hint = f"training.voxel_size_tolerance: {tolerance:g} treats these sizes as equal, if the images are similar"
    return Problem(
        (*section, "volumes"),
        ", ".join(f"{volume} has {list(plan.voxel_size)} {plan.unit}" for volume, plan in used.items()),
        "volumes with the same voxel size in one run: a network does not generalize to other voxel sizes",
        hint,
    )


def _check_labeled_volumes(
    section: KeyPath, configuration: Configuration, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem]:
    for key, names in (("train", run.volumes.train), ("validate", run.volumes.validation)):
        for index, volume in enumerate(names):
            if not configuration.volumes[volume].has_labels:
                yield Problem(
                    (*section, "volumes", key, index),
                    f"'{volume}', which has no labels",
                    f"a volume with labels; give volumes.{volume} its 'labels', or use it under test",
                )
            elif key == "train" and volume in plans and plans[volume].arrays["labels"].roi.empty:
                found = f"'{volume}', whose labels are empty"
                yield Problem((*section, "volumes", key, index), found, "labeled voxels")


def _check_criteria(section: KeyPath, run: RunConfig) -> Iterator[Problem]:
    """Yield a problem for each criterion that is not a score of the task."""
    task = run.task.learned_task
    criteria = {
        ("evaluation", "criterion"): run.evaluation.criterion,
        ("segmentation", "criterion"): run.segmentation.criterion if task.agglomerates else None,
        ("training", "validation", "criterion"): run.training.validation.criterion,
    }
    scores = create_task(task).create_evaluator(run.evaluation).score
    for key, name in criteria.items():
        if name is None or name == "loss":
            continue
        try:
            scores.find_criteria(name)
        except ValueError:
            choices = list(dict.fromkeys(known.rpartition("__")[2] for known in scores.criteria))
            by_channel = " (mean over the channels, or of one channel: CHANNEL__SCORE)"
            yield Problem(
                (*section, *key),
                f"'{name}'",
                f"{'loss or ' if key[0] == 'training' else ''}one of {', '.join(choices)}"
                + (by_channel if len(choices) < len(scores.criteria) else ""),
            )


def _check_objects(section: KeyPath, run: RunConfig) -> Iterator[Problem]:
    """Yield a problem for each score of objects or of regions that the task does not have."""
    task = run.task.learned_task
    kind = type(task).model_fields["type"].default
    names = () if task.agglomerates else task.class_names
    for index, name in enumerate(run.evaluation.objects_of):
        key = (*section, "evaluation", "objects_of", index)
        if not names:
            yield Problem(key, f"'{name}' for a task of type {kind}", "a task with classes or channels")
        elif name not in names:
            yield Problem(key, f"'{name}'", f"one of {', '.join(names)}")
    if run.evaluation.regions and not task.agglomerates:
        yield Problem(
            (*section, "evaluation", "regions"),
            f"regions for a task of type {kind}",
            "a task of type affinities",
        )


def _check_axes(section: KeyPath, run: RunConfig, axes: int) -> Iterator[Problem]:
    """Yield a problem for each list whose length is not the number of axes of the run's volumes."""
    expected = f"{axes} numbers, since the volumes of this run are {axes}D"
    offsets = run.task.offsets
    if run.task.num_axes not in (None, axes):
        found = f"offsets of {len(offsets[0])} numbers, such as {offsets[0]}"
        yield Problem((*section, "task", "neighborhood"), found, f"offsets of {expected}")
    elif offsets:
        try:
            run.segmentation.check_offsets(offsets)
        except ValueError as error:
            yield Problem((*section, "segmentation"), message=str(error))
    for key, sizes in (
        (("architecture", "input_shape"), run.architecture.input_shape),
        (("prediction", "block_size"), run.prediction.block_size),
        (("prediction", "tile_size"), run.prediction.tile_size),
        # The settings of affinities are compared with their offsets above.
        (("segmentation", "block_size"), None if offsets else run.segmentation.block_size),
        (("evaluation", "block_size"), run.evaluation.block_size),
    ):
        if sizes is not None and len(sizes) != axes:
            yield Problem((*section, *key), format_value(list(sizes)), expected)


def _check_memory(key: KeyPath, run: RunConfig) -> Iterator[Problem]:
    """Yield a problem for a network that no machine can train."""
    size = estimate_training_bytes(run.architecture, run.training.batch_size)
    if size > _LARGEST_TRAINING:
        network = run.architecture
        levels = (
            f"levels of {list(network.level_channels)} channels and "
            if isinstance(network, UNetConfig)
            else ""
        )
        yield Problem(
            key,
            f"{levels}the input {list(run.architecture.input_shape)}, whose training needs "
            f"more than {size / 1e12:.3g} TB of memory",
            "a smaller network: channels (or num_fmaps and fmap_inc_factor), input_shape, training.batch_size",
        )


def _find_output_shape(architecture: ArchitectureConfig) -> Sequence[int]:
    """Return the output shape of a network in training.

    Raises:
        ConfigurationError: the network cannot process its input shape.
    """
    if not isinstance(architecture, UNetConfig):
        return measure_network(architecture).output_shape
    axes = create_axes(architecture)
    check_input_shape(axes, architecture.input_shape)
    return compute_output_shape(axes, architecture.input_shape)


def _check_network(section: KeyPath, run: RunConfig) -> Iterator[Problem]:
    """Yield problems of the input shape and, if the network can process it, of the blocks of its predictions."""
    shape, head_kernel = list(run.architecture.input_shape), run.task.head_kernel
    key = (*section, "architecture", "input_shape")
    try:
        output = _find_output_shape(run.architecture)
    except ConfigurationError as error:
        yield Problem(key, format_value(shape), message=error.problem, hint=error.fix)
        return
    if min(output) < head_kernel:
        yield Problem(
            key,
            f"{shape}, of which the network leaves {list(output)}",
            f"at least {head_kernel} voxels along each axis for the last convolution of the task; "
            "set kernel_size: 1 under task, or make the input larger",
        )
    sizes = (run.prediction.block_size, run.prediction.tile_size)
    if all(size is None or len(size) == len(shape) for size in sizes):
        try:
            choose_sizes(ConfiguredSizes(run.architecture, run.task.learned_task.head_kernel), run.prediction)
        except SizeError as error:
            yield Problem((*section, *error.key), error.found, error.expected)
