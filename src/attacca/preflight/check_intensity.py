"""Check that the range of raw values that becomes -1 to 1 fits the raw data."""

from collections.abc import Iterator

from attacca.architectures.intensity import Intensity
from attacca.config.problems import Problem
from attacca.config.run import Configuration, RunConfig
from attacca.errors import AttaccaError
from attacca.volumes import VolumePlan
from attacca.volumes.sample_values import sample_values


def check_intensity(
    configuration: Configuration, name: str, run: RunConfig, plans: dict[str, VolumePlan]
) -> Iterator[Problem | str]:
    """Yield problems of raw data that cannot be read, and warnings of data that the default range clips or flattens.

    Eight-bit volumes are not read if the training volumes have eight bits too.
    """
    if run.training.intensity is not None or run.volumes.train[0] not in plans:
        return
    dtype = plans[run.volumes.train[0]].arrays["raw"].dtype
    default = Intensity.for_dtype(dtype)
    for volume in run.volumes.used:
        config, plan = configuration.volumes[volume], plans.get(volume)
        if plan is None or config.synthetic is not None or plan.arrays["raw"].dtype == dtype == "uint8":
            continue
        try:
            values = sample_values(config, plan, plan.arrays["raw"])
        except AttaccaError as error:
            yield Problem(("volumes", volume, "raw"), message=error.problem, hint=error.fix)
            continue
        warning = default.find_mismatch(values)
        if warning is not None:
            yield (
                f"runs.{name}.training.intensity: some sections of '{volume}' hold values from {values.min():g} to "
                f"{values.max():g}, but black is {default.minimum:g} and white is {default.maximum:g}, the range of "
                f"{dtype}: {warning}. Set the values of black and white, for example intensity: "
                f"[{values.min():g}, {values.max():g}]"
            )
