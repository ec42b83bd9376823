"""Units of length, and voxel sizes that are whole numbers of one.

World coordinates are integers: ``funlib.geometry.Coordinate((50, 4.6, 4.6))`` silently becomes (50, 4, 4), so
every voxel size or offset from outside passes through ``to_whole_coordinate``.
"""

from collections.abc import Sequence
from fractions import Fraction

from funlib.geometry import Coordinate

from attacca.errors import VolumeError

# Powers of ten in metres; the names are those of OME-NGFF.
UNITS = {
    "picometer": -12,
    "angstrom": -10,
    "nanometer": -9,
    "micrometer": -6,
    "millimeter": -3,
    "centimeter": -2,
    "meter": 0,
}
_SHORT = {
    "pm": "picometer",
    "å": "angstrom",
    "ångström": "angstrom",
    "a": "angstrom",
    "nm": "nanometer",
    "um": "micrometer",
    "µm": "micrometer",
    "μm": "micrometer",
    "micron": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
}
SYMBOLS = {
    "picometer": "pm",
    "angstrom": "Å",
    "nanometer": "nm",
    "micrometer": "µm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
}


def normalize_unit(unit: str) -> str:
    """The OME-NGFF name of a unit of length: ``nm`` and ``nanometre`` become ``nanometer``.

    Raises:
        VolumeError: the unit is not known.
    """
    text = unit.strip().lower()
    text = text.removesuffix("s") if text.removesuffix("s") in UNITS else text
    text = text.replace("metre", "meter")
    text = _SHORT.get(text, text)
    if text not in UNITS:
        raise VolumeError(f"unknown unit of length {unit!r}; known are {', '.join(UNITS)}")
    return text


def _fraction(value: float) -> Fraction:
    # Decimal text of the number, so that 4.6 is 46/10 and not the nearest binary fraction.
    return Fraction(repr(float(value)))


def convert(values: Sequence[float], unit: str, to: str) -> tuple[Fraction, ...]:
    """Lengths in ``unit`` as exact numbers of the unit ``to``."""
    power = UNITS[normalize_unit(unit)] - UNITS[normalize_unit(to)]
    factor = Fraction(10**power) if power >= 0 else Fraction(1, 10**-power)
    return tuple(_fraction(value) * factor for value in values)


def find_whole_unit(values: Sequence[float], unit: str) -> str | None:
    """The largest unit, not above ``unit``, in which all values are whole; None if there is none."""
    power = UNITS[normalize_unit(unit)]
    for name in reversed(UNITS):
        if UNITS[name] <= power and all(_near_whole(value) for value in convert(values, unit, name)):
            return name
    return None


def _near_whole(value: Fraction) -> bool:
    # Files hold 8.000000001 where 8 was meant: one part in a million is rounding, not a measurement.
    error = abs(value - round(value))
    return error * 10**6 <= (abs(value) if abs(value) > 1 else 1)


def to_whole_coordinate(values: Sequence[float], unit: str, what: str, to: str | None = None) -> Coordinate:
    """``values``, given in ``unit``, as whole numbers of the unit ``to`` (default: the same unit).

    Args:
        what: name of the quantity and where it stands, for the message.

    Raises:
        VolumeError: a value is not whole; the message names the unit that makes it whole.
    """
    unit = normalize_unit(unit)
    to = unit if to is None else normalize_unit(to)
    converted = convert(values, unit, to)
    if all(_near_whole(value) for value in converted):
        return Coordinate(round(value) for value in converted)
    found = ", ".join(f"{float(value):g}" for value in converted)
    better = find_whole_unit(values, unit)
    if better is None:
        raise VolumeError(f"{what} is ({found}) {to}, not whole in any unit down to the picometre; round it")
    whole = ", ".join(f"{round(value)}" for value in convert(values, unit, better))
    raise VolumeError(
        f"{what} is ({found}) {to}, but must be whole numbers; use unit: {better} and ({whole}) instead"
    )
