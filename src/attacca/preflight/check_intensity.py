"""Check that the range of raw values that becomes -1 to 1 fits the raw data."""

from collections.abc import Iterator

import numpy as np

from attacca.architectures.intensity import Intensity
from attacca.config.intensity import PercentilesConfig
from attacca.config.problems import Problem
from attacca.config.run import Configuration, RunConfig
from attacca.config.yaml_text import KeyPath
from attacca.errors import AttaccaError
from attacca.volumes import VolumePlan
from attacca.volumes.sample_values import sample_values


def check_intensity(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem | str]:
    """Yield problems of raw data that cannot be read or become all black or white, and warnings of clipped or flat data.

    Eight-bit volumes are not read if the training volumes have eight bits too, and the run has neither percentiles nor
    values of black and white.
    """
    rule = run.training.intensity
    has_percentiles = isinstance(rule, PercentilesConfig)
    if not run.is_trained or run.volumes.train[0] not in plans:
        return
    dtype = plans[run.volumes.train[0]].arrays["raw"].dtype
    is_default = rule is None
    limits = Intensity.for_dtype(dtype)
    if isinstance(rule, tuple):
        limits = Intensity(*map(float, rule))
    for volume in run.volumes.used:
        config, plan = configuration.volumes[volume], plans.get(volume)
        if plan is None or config.synthetic is not None:
            continue
        if plan.arrays["raw"].dtype == dtype == "uint8" and is_default:
            continue
        try:
            values = sample_values(config, plan, plan.arrays["raw"])
        except AttaccaError as error:
            yield Problem(("volumes", volume, "raw"), message=error.problem, hint=error.fix)
            continue
        if has_percentiles:
            yield from find_missing_contrast(volume, values)
            continue
        warning = limits.find_mismatch(values)
        if warning is None:
            continue
        low, high = float(values.min()), float(values.max())
        origin = f", the range of {dtype}" if is_default else ""
        found = (
            f"some sections of '{volume}' hold values from {low:g} to {high:g}, but black is {limits.minimum:g} and white "
            f"is {limits.maximum:g}{origin}"
        )
        fix = f"et the values of black and white, for example intensity: [{low:g}, {high:g}]"
        if limits.lacks_contrast(low, high):
            key: KeyPath = ("runs", name, "training", "intensity")
            yield Problem(key, message=f"{found}, so that the network sees no image", hint=f"s{fix}")
        else:
            yield f"runs.{name}.training.intensity: {found}: {warning}. S{fix}"


def find_missing_contrast(volume: str, values: np.ndarray) -> Iterator[str]:
    """Yield a warning if a sample of a volume, whose percentiles become black and white, holds a single value."""
    if values.size and values.min() == values.max():
        yield (
            f"volumes.{volume}.raw: each sampled section of '{volume}' holds the value {values.min():g} only, but black and "
            "white are percentiles of the image; check path, dataset and roi"
        )
