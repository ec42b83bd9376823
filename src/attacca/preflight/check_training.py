"""Checks that the training of a run can use its settings: regions, points and size of samples, checkpoints."""

from collections.abc import Iterator
from itertools import islice
from math import lcm

from funlib.geometry import Roi

from attacca.config.architecture import UNetConfig
from attacca.config.problems import Problem, format_value, suggest_name
from attacca.config.run import RunConfig
from attacca.config.training import SamplingConfig
from attacca.config.yaml_text import KeyPath
from attacca.prediction.sizes import ConfiguredSizes
from attacca.volumes import VolumePlan
from attacca.volumes.placement import format_roi


def check_training(name: str, run: RunConfig, plans: dict[str, VolumePlan]) -> Iterator[Problem | str]:
    """Yield the problems that would stop the training of a run, or the prediction with its checkpoint, and warnings.

    The warnings are about samples that are larger than the images, or much smaller than the context of their network.

    Args:
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    section = ("runs", name)
    if not run.is_trained:
        return
    for volume, sampling in run.training.sampling.items():
        key = (*section, "training", "sampling", volume)
        if volume in run.volumes.train:
            yield from _check_sampling(key, sampling, plans.get(volume))
        else:
            expected = "a training volume of this run: " + ", ".join(run.volumes.train)
            yield Problem(key, f"'{volume}'", expected, suggest_name(volume, run.volumes.train))
    criterion = run.training.validation.criterion
    if criterion != "loss" and not run.volumes.validation:
        yield Problem(
            (*section, "training", "validation", "criterion"),
            f"'{criterion}', but the run has no validation volumes",
            "volumes under volumes.validate, or the criterion loss",
        )
    yield from _check_checkpoint((*section, "prediction", "checkpoint"), run)
    yield from _check_offsets((*section, "task", "neighborhood"), run, plans)
    yield from _check_size(name, run, plans)
    yield from _check_context(name, run)


def _check_sampling(key: KeyPath, sampling: SamplingConfig, plan: VolumePlan | None) -> Iterator[Problem]:
    if sampling.points is not None and not sampling.points.is_file():
        found = f"'{sampling.points}', which is not there"
        yield Problem((*key, "points"), found, "a text file with one point per line, in world units")
    if sampling.roi is None or plan is None or "labels" not in plan.arrays:
        return
    offset, shape = sampling.roi.offset, sampling.roi.shape
    if not len(offset) == len(shape) == len(plan.axes):
        found = f"offset {list(offset)} and shape {list(shape)}"
        yield Problem((*key, "roi"), found, f"{len(plan.axes)} numbers each: {', '.join(plan.axes)}")
        return
    roi, labels = Roi(offset, shape), plan.arrays["labels"].roi
    if roi.intersect(labels).empty:
        found = f"{format_roi(roi)}, which contains no labels"
        expected = f"a region that overlaps the labels: {format_roi(labels)} {plan.unit}"
        yield Problem((*key, "roi"), found, expected)


def _check_checkpoint(key: KeyPath, run: RunConfig) -> Iterator[Problem]:
    """Yield a problem if predictions use an iteration whose checkpoint does not exist after the training."""
    iteration, last, policy = run.prediction.checkpoint, run.training.iterations, run.training.checkpoint
    if isinstance(iteration, str):
        return
    # Ranges: a training may have more iterations than fit into a list.
    written = range(policy.interval, last, policy.interval)
    newest = written[max(0, len(written) - policy.keep_last + 1) :]
    period = lcm(policy.interval, policy.keep_every) if policy.keep_every else last
    periodic = range(period, last, period)
    if iteration != last and iteration not in newest and iteration not in periodic:
        is_written = iteration in written
        kept = sorted({*islice(periodic, 10), *islice(newest, 10), last})
        reason = "is deleted before the training ends" if is_written else "is never made"
        yield Problem(
            key,
            f"{format_value(iteration)}: the checkpoint of this iteration {reason}",
            f"best, latest, or an iteration whose checkpoint is kept: {', '.join(map(str, kept[:10]))}"
            + (", ..." if len(kept) > 10 else ""),
            "training.checkpoint.keep_every keeps more" if is_written else "",
        )


def _check_offsets(key: KeyPath, run: RunConfig, plans: dict[str, VolumePlan]) -> Iterator[Problem]:
    """Yield a problem for each offset of affinities that leads out of the labels of all training volumes."""
    trained = [plans[name] for name in run.volumes.train if name in plans and "labels" in plans[name].arrays]
    shapes = [tuple(plan.arrays["labels"].roi.shape / plan.voxel_size) for plan in trained]
    for index, offset in enumerate(run.task.offsets):
        if shapes and all(
            len(offset) == len(shape) and any(abs(step) >= size for step, size in zip(offset, shape))
            for shape in shapes
        ):
            found = f"{format_value(list(offset))}, but the labels have " + ", ".join(
                " x ".join(map(str, shape)) for shape in dict.fromkeys(shapes)
            )
            expected = "an offset between voxels of a training volume: no sample contains this affinity"
            yield Problem((*key, index), f"{found} voxels", expected)


def _check_size(name: str, run: RunConfig, plans: dict[str, VolumePlan]) -> Iterator[str]:
    """Yield a warning if samples are larger than the image of each training volume, so that they contain padding."""
    shapes = [
        tuple(plans[volume].roi.shape / plans[volume].voxel_size)
        for volume in run.volumes.train
        if volume in plans
    ]
    sample = tuple(run.architecture.input_shape)
    if shapes and all(
        len(sample) == len(shape) and any(edge > size for edge, size in zip(sample, shape))
        for shape in shapes
    ):
        found = ", ".join(str(list(shape)) for shape in dict.fromkeys(shapes))
        yield (
            f"runs.{name}.architecture.input_shape: samples of {list(sample)} voxels are larger than the training images, "
            f"{found}, and are padded. Use samples of at most that size"
        )


def _check_context(name: str, run: RunConfig) -> Iterator[str]:
    """Yield a warning if what coarse levels see in training is mostly padding, and image in prediction."""
    network = run.architecture
    if not isinstance(network, UNetConfig) or network.padding == "valid":
        return
    context = ConfiguredSizes(network).context
    if any(2 * size <= reach for size, reach in zip(network.input_shape, context)):
        yield (
            f"runs.{name}.architecture.input_shape: samples of {list(network.input_shape)} voxels are at most half as "
            f"large as the network's context, {list(context)} voxels to each side. Coarse levels see mostly zeros around "
            "a sample in training, but the image in prediction, so that predictions can be bad although the losses are "
            "good. Use larger samples, fewer levels, or padding: valid"
        )
