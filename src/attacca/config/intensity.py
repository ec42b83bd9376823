"""Range of raw values by percentiles of each volume."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from attacca.config.base import StrictModel

MEASURED_PERCENTILES = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 50, 90, 95, 98, 99, 99.5, 99.8, 99.9, 100)
"""Percentiles of an image that its import records."""


def name_percentile(percentile: float) -> str:
    """Return the key of a percentile in the record of an import.

    >>> name_percentile(99.0), name_percentile(0.5)
    ('99', '0.5')
    """
    return f"{percentile:g}"


def check_percentiles(percentiles: tuple[float, float]) -> tuple[float, float]:
    """Return the percentiles of black and white.

    Raises:
        ValueError: they are not recorded, or do not ascend.
    """
    if any(value not in MEASURED_PERCENTILES for value in percentiles) or percentiles[0] >= percentiles[1]:
        found, expected = list(percentiles), ", ".join(map(name_percentile, MEASURED_PERCENTILES))
        raise ValueError(f"found percentiles {found}, expected two ascending ones of {expected}")
    return percentiles


class PercentilesConfig(StrictModel):
    """Percentiles of each volume that become black and white."""

    percentiles: Annotated[tuple[float, float], AfterValidator(check_percentiles)]
    """Percentiles of black and white of each volume, such as [1, 99]; darker and brighter voxels are clipped. All voxels
    of the image count, also those outside the tissue."""


def describe_intensity(values: dict[str, float]) -> str:
    """Return the range of a model file or checkpoint in words.

    >>> describe_intensity({"minimum": 0.0, "maximum": 255.0})
    'black 0, white 255'
    >>> describe_intensity({"low_percentile": 1, "high_percentile": 99})
    'black percentile 1, white percentile 99 of each volume'
    """
    if "low_percentile" in values:
        low, high = (name_percentile(values[key]) for key in ("low_percentile", "high_percentile"))
        return f"black percentile {low}, white percentile {high} of each volume"
    return f"black {values['minimum']:g}, white {values['maximum']:g}"


def check_intensity_values(values: dict[str, float]) -> None:
    """Check the range of a model file.

    Raises:
        ValueError: it has neither a minimum and maximum nor two percentiles.
    """
    pairs: Sequence[set[str]] = ({"minimum", "maximum"}, {"low_percentile", "high_percentile"})
    if set(values) not in pairs:
        raise ValueError(
            f"found {sorted(values)}, expected maximum, minimum, or high_percentile, low_percentile"
        )
    if "low_percentile" in values:
        check_percentiles((values["low_percentile"], values["high_percentile"]))
