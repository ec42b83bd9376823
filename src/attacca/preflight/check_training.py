"""Whether a run's training finds what its settings name: places of samples, checkpoints, validation volumes, grays."""

from collections.abc import Iterable, Iterator

from funlib.geometry import Roi

from attacca.architectures.intensity import Intensity
from attacca.config.problems import Problem, nearest, shown
from attacca.config.run import Configuration, RunConfig
from attacca.config.training import SamplingConfig
from attacca.errors import AttaccaError
from attacca.volumes import VolumePlan
from attacca.volumes.placement import described
from attacca.volumes.samples import sampled_values


def check_training(name: str, run: RunConfig, plans: dict[str, VolumePlan]) -> Iterable[Problem]:
    """What would stop the training of a run, or the prediction after it, for certain."""
    place = ("runs", name)
    for volume, sampling in run.training.sampling.items():
        here = (*place, "training", "sampling", volume)
        if volume not in run.volumes.train:
            expected = "a training volume of this run: " + ", ".join(run.volumes.train)
            yield Problem(here, f"'{volume}'", expected, nearest(volume, run.volumes.train))
            continue
        yield from _sampling_problems(here, sampling, plans.get(volume))
    criterion = run.training.validation.criterion
    if criterion != "loss" and not run.volumes.validation:
        yield Problem(
            (*place, "training", "validation", "criterion"),
            f"'{criterion}', but the run has no validation volumes",
            "volumes under volumes.validate, or the criterion loss",
        )
    yield from _checkpoint_problems(place, run)


def _sampling_problems(
    here: tuple[str, ...], sampling: SamplingConfig, plan: VolumePlan | None
) -> Iterator[Problem]:
    if sampling.points is not None and not sampling.points.is_file():
        yield Problem(
            (*here, "points"),
            f"'{sampling.points}', which is not there",
            "a text file with a point on each line, in world units",
        )
    if sampling.roi is None or plan is None or "labels" not in plan.arrays:
        return
    offset, shape = sampling.roi.offset, sampling.roi.shape
    axes = len(plan.axes)
    if len(offset) != axes or len(shape) != axes:
        found = f"offset {list(offset)} and shape {list(shape)}"
        yield Problem((*here, "roi"), found, f"{axes} numbers each: {', '.join(plan.axes)}")
        return
    roi, labels = Roi(offset, shape), plan.arrays["labels"].roi
    if roi.intersect(labels).empty:
        yield Problem(
            (*here, "roi"),
            f"{described(roi)}, where there are no labels",
            f"a box that overlaps the labels: {described(labels)} {plan.unit}",
        )


def _checkpoint_problems(place: tuple[str, ...], run: RunConfig) -> Iterator[Problem]:
    wanted, last, policy = run.prediction.checkpoint, run.training.iterations, run.training.checkpoint
    if isinstance(wanted, str):
        return
    key = (*place, "prediction", "checkpoint")
    made = [*range(policy.interval, last, policy.interval), last]
    kept = [
        iteration
        for iteration in made
        if iteration in made[-policy.keep_last :]
        or (policy.keep_every is not None and iteration % policy.keep_every == 0)
    ]
    if wanted not in kept:
        reason = "is deleted before the training ends" if wanted in made else "is never made"
        advice = "training.checkpoint.keep_every keeps more" if wanted in made else ""
        there = ", ".join(map(str, kept[:10])) + (", ..." if len(kept) > 10 else "")
        yield Problem(
            key,
            f"{shown(wanted)}: the checkpoint of this iteration {reason}",
            f"best, latest, or an iteration whose checkpoint is kept: {there}",
            advice,
        )


def check_intensity(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> tuple[list[Problem], list[str]]:
    """Raw data that cannot be read, and warnings of those that would reach the network nearly black, or cut off.

    Eight-bit volumes are not looked at where the training volumes are of eight bits, too.
    """
    problems: list[Problem] = []
    warnings: list[str] = []
    if run.training.intensity is not None or run.volumes.train[0] not in plans:
        return problems, warnings
    dtype = plans[run.volumes.train[0]].arrays["raw"].dtype
    chosen = Intensity.for_dtype(dtype)
    for volume in dict.fromkeys((*run.volumes.train, *run.volumes.segmented)):
        config, plan = configuration.volumes[volume], plans.get(volume)
        if plan is None or config.synthetic is not None:
            continue
        raw = plan.arrays["raw"]
        if raw.dtype == dtype == "uint8":
            continue
        try:
            values = sampled_values(config, plan, raw)
        except AttaccaError as error:
            problems.append(Problem(("volumes", volume, "raw"), message=str(error)))
            continue
        doubt = chosen.doubt(values)
        if doubt is not None:
            warnings.append(
                f"runs.{name}.training.intensity: some sections of '{volume}' hold values from {values.min():g} to "
                f"{values.max():g}, but black is {chosen.minimum:g} and white is {chosen.maximum:g}, the range of "
                f"{dtype}: {doubt}. Say what is black and white, for example intensity: "
                f"[{values.min():g}, {values.max():g}]"
            )
    return problems, warnings
