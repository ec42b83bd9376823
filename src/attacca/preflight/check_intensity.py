"""Check that the range of raw values that becomes -1 to 1 fits the raw data."""

from collections.abc import Iterator

import numpy as np

from attacca.architectures.intensity import Intensity
from attacca.config.intensity import PercentilesConfig
from attacca.config.problems import Problem
from attacca.config.run import Configuration, RunConfig
from attacca.errors import AttaccaError
from attacca.volumes import VolumePlan
from attacca.volumes.sample_values import sample_values


def check_intensity(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem | str]:
    """Yield problems of raw data that cannot be read, and warnings of data that the default range clips or flattens.

    Eight-bit volumes are not read if the training volumes have eight bits too, and the run has no percentiles.
    """
    has_percentiles = isinstance(run.training.intensity, PercentilesConfig)
    has_limits = run.training.intensity is not None and not has_percentiles
    if not run.is_trained or has_limits or run.volumes.train[0] not in plans:
        return
    dtype = plans[run.volumes.train[0]].arrays["raw"].dtype
    default = Intensity.for_dtype(dtype)
    for volume in run.volumes.used:
        config, plan = configuration.volumes[volume], plans.get(volume)
        if plan is None or config.synthetic is not None:
            continue
        if plan.arrays["raw"].dtype == dtype == "uint8" and not has_percentiles:
            continue
        try:
            values = sample_values(config, plan, plan.arrays["raw"])
        except AttaccaError as error:
            yield Problem(("volumes", volume, "raw"), message=error.problem, hint=error.fix)
            continue
        if has_percentiles:
            yield from find_missing_contrast(volume, values)
            continue
        warning = default.find_mismatch(values)
        if warning is not None:
            yield (
                f"runs.{name}.training.intensity: some sections of '{volume}' hold values from {values.min():g} to "
                f"{values.max():g}, but black is {default.minimum:g} and white is {default.maximum:g}, the range of "
                f"{dtype}: {warning}. Set the values of black and white, for example intensity: "
                f"[{values.min():g}, {values.max():g}]"
            )


def find_missing_contrast(volume: str, values: np.ndarray) -> Iterator[str]:
    """Yield a warning if a sample of a volume, whose percentiles become black and white, holds a single value."""
    if values.size and values.min() == values.max():
        yield (
            f"volumes.{volume}.raw: each sampled section of '{volume}' holds the value {values.min():g} only, but black and "
            "white are percentiles of the image; check path, dataset and roi"
        )
