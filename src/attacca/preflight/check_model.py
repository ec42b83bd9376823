"""Checks that a model file fits the volumes to which a run applies it."""

from collections.abc import Iterator

from attacca.architectures.intensity import Percentiles, read_intensity
from attacca.config.model_description import ModelDescription, read_model_description
from attacca.config.problems import Problem, format_value
from attacca.config.run import Configuration, RunConfig
from attacca.config.units import SYMBOLS, find_largest_difference
from attacca.config.yaml_text import KeyPath
from attacca.errors import AttaccaError
from attacca.preflight.check_intensity import find_missing_contrast
from attacca.volumes import VolumePlan
from attacca.volumes.sample_values import sample_values


def check_model(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem | str]:
    """Yield the problems between a model file and the volumes of a run, and warnings of probably unintended volumes.

    Args:
        configuration: contains the run.
        name: name of the run.
        run: settings of the run.
        plans: import of each volume without problems, by the volume's name.
    """
    if run.model is None:
        return
    description, _ = read_model_description(run.model.path)
    key: KeyPath = ("runs", name, "model")
    iteration = description.checkpoint.get("iteration")
    if not run.is_trained and run.prediction.checkpoint not in ("best", "latest", iteration):
        found = format_value(run.prediction.checkpoint)
        expected = f"best: the model has one checkpoint, that of iteration {iteration}"
        yield Problem(("runs", name, "prediction", "checkpoint"), found, expected)
    for volume in run.volumes.used:
        plan = plans.get(volume)
        if plan is None or len(plan.axes) != len(description.voxel_size):
            # The axes are compared with those of the network.
            continue
        found = f"'{volume}' with voxels of {list(plan.voxel_size)} {SYMBOLS.get(plan.unit, plan.unit)}"
        tolerance = float(description.training.get("voxel_size_tolerance", 0.0))
        difference = find_largest_difference(plan.voxel_size, description.voxel_size)
        if plan.unit != description.unit or difference > tolerance:
            trained_on = f"{description.voxel_size} {SYMBOLS.get(description.unit, description.unit)}"
            if run.is_trained:
                yield f"runs.{name}: {found}; the model from which the training starts was trained on {trained_on}"
            else:
                yield Problem(
                    key,
                    f"{found}, but the model was trained on {trained_on}",
                    "volumes of that voxel size",
                    f"correct volumes.{volume}.voxel_size if it is wrong, use the scale of the volume with this voxel "
                    f"size, or name training volumes to train the model further",
                )
                continue
        channels = plan.arrays["raw"].num_channels or 1
        if channels != description.num_in_channels:
            yield Problem(
                key,
                f"'{volume}' with {channels} channels, but the network takes {description.num_in_channels}",
                "volumes with the channels of the training",
                f"volumes.{volume}.raw.channel selects one channel"
                if description.num_in_channels == 1
                else "",
            )
        elif not run.is_trained:
            yield from _check_values(configuration, name, volume, plan, description)


def _check_values(
    configuration: Configuration, name: str, volume: str, plan: VolumePlan, description: ModelDescription
) -> Iterator[Problem | str]:
    """Yield a problem or a warning if the range of raw values of the training does not fit a volume of another type."""
    config, raw = configuration.volumes[volume], plan.arrays["raw"]
    has_limits = "minimum" in description.intensity
    trained_on = {item.dtype for item in description.volumes}
    if config.synthetic is not None or (has_limits and str(raw.dtype) in trained_on & {"uint8"}):
        return
    try:
        values = sample_values(config, plan, raw)
    except AttaccaError as error:
        yield Problem(("volumes", volume, "raw"), message=error.problem, hint=error.fix)
        return
    intensity = read_intensity(description.intensity)
    if isinstance(intensity, Percentiles):
        yield from find_missing_contrast(volume, values)
        return
    mismatch = intensity.find_mismatch(values)
    if mismatch is None:
        return
    low, high = float(values.min()), float(values.max())
    found = (
        f"some sections of '{volume}' hold values from {low:g} to {high:g}, but the model takes {intensity.minimum:g} for "
        f"black and {intensity.maximum:g} for white"
    )
    fix = "convert the volume to the range of the training volumes"
    if intensity.lacks_contrast(low, high):
        yield Problem(
            ("runs", name, "model"), message=f"{found}, so that the network sees no image", hint=fix
        )
    else:
        yield f"runs.{name}.model: {found}: {mismatch}. Predictions are probably poor; {fix}"
