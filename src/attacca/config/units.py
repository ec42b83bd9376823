"""Units of length, and conversion of voxel sizes and offsets to whole numbers of a unit.

World coordinates are integers: ``funlib.geometry.Coordinate((50, 4.6, 4.6))`` becomes (50, 4, 4) without an error.
Voxel sizes and offsets from files and configurations are therefore converted by ``to_whole_coordinate``.
"""

import unicodedata
from collections.abc import Sequence
from fractions import Fraction

from funlib.geometry import Coordinate

from attacca.errors import VolumeError

# Powers of ten in meters; the names are those of OME-NGFF.
UNITS = {
    "picometer": -12,
    "angstrom": -10,
    "nanometer": -9,
    "micrometer": -6,
    "millimeter": -3,
    "centimeter": -2,
    "meter": 0,
}
# The case of symbols counts: Mm is a megameter, Pm a petameter.
_SHORT = {
    "pm": "picometer",
    "Å": "angstrom",
    "å": "angstrom",
    "A": "angstrom",
    "a": "angstrom",
    "nm": "nanometer",
    "NM": "nanometer",
    "um": "micrometer",
    "UM": "micrometer",
    "uM": "micrometer",
    "\u03bcm": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
}
_WORDS = {"ångström": "angstrom", "ångstrom": "angstrom", "micron": "micrometer"}
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
    """Return the OME-NGFF name of a unit of length.

    Raises:
        VolumeError: the unit is unknown.

    >>> normalize_unit("nm"), normalize_unit("Nanometres"), normalize_unit("µm")
    ('nanometer', 'nanometer', 'micrometer')
    """
    name = find_unit(unit)
    if name is None:
        raise VolumeError(f"unknown unit of length {unit!r}; expected one of {', '.join(UNITS)}")
    return name


def find_unit(text: object) -> str | None:
    """Return the OME-NGFF name of a unit of length; None for anything else, such as ``pixel``.

    >>> find_unit("microns"), find_unit("\\\\u00B5m"), find_unit("pixel"), find_unit("Mm"), find_unit("")
    ('micrometer', 'micrometer', None, None, None)
    """
    if not isinstance(text, str):
        return None
    # ImageJ writes the escape sequence of the micro sign as text.
    symbol = unicodedata.normalize("NFKC", text.replace("\\u00B5", "µ").strip())
    if symbol in _SHORT:
        return _SHORT[symbol]
    word = symbol.lower().replace("metre", "meter")
    word = word.removesuffix("s")
    word = _WORDS.get(word, word)
    return word if word in UNITS else None


def _to_fraction(value: float) -> Fraction:
    # The decimal text makes 4.6 equal 46/10, not the nearest binary fraction.
    return Fraction(repr(float(value)))


def convert_length(values: Sequence[float], unit: str, to: str) -> tuple[Fraction, ...]:
    """Convert lengths in ``unit`` to exact numbers of the unit ``to``.

    >>> convert_length([4.6], "nm", "angstrom")
    (Fraction(46, 1),)
    """
    power = UNITS[normalize_unit(unit)] - UNITS[normalize_unit(to)]
    factor = Fraction(10**power) if power >= 0 else Fraction(1, 10**-power)
    return tuple(_to_fraction(value) * factor for value in values)


def find_whole_unit(values: Sequence[float], unit: str) -> str | None:
    """Return the largest unit, not above ``unit``, in which all values are whole; None if there is none.

    >>> find_whole_unit([50, 4.6, 4.6], "nm")
    'angstrom'
    """
    power = UNITS[normalize_unit(unit)]
    for name in reversed(UNITS):
        if UNITS[name] <= power and all(
            _is_near_whole(value) for value in convert_length(values, unit, name)
        ):
            return name
    return None


def _is_near_whole(value: Fraction) -> bool:
    # Some files hold 8.000000001 for 8: a difference of one part in a million is a rounding error.
    error = abs(value - round(value))
    return error * 10**6 <= (abs(value) if abs(value) > 1 else 1)


def to_whole_coordinate(values: Sequence[float], unit: str, what: str, to: str | None = None) -> Coordinate:
    """Convert ``values`` to whole numbers.

    Args:
        values: lengths in ``unit``.
        unit: unit of the values.
        what: name and location of the quantity, for the message.
        to: unit of the result; by default the same unit.

    Raises:
        VolumeError: a value is not whole; the message names the unit in which it is.

    >>> to_whole_coordinate([0.05, 0.0046], "micrometer", "the voxel size", to="angstrom")
    (500, 46)
    """
    unit = normalize_unit(unit)
    to = unit if to is None else normalize_unit(to)
    converted = convert_length(values, unit, to)
    if all(_is_near_whole(value) for value in converted):
        return Coordinate(round(value) for value in converted)
    found = ", ".join(f"{float(value):g}" for value in converted)
    better = find_whole_unit(values, unit)
    if better is None:
        raise VolumeError(f"{what} is ({found}) {to}, not whole in any unit down to the picometer; round it")
    whole = ", ".join(f"{round(value)}" for value in convert_length(values, unit, better))
    raise VolumeError(
        f"{what} is ({found}) {to}, but must be whole numbers",
        fix=f"use unit: {better} and ({whole}) instead",
    )


def find_largest_difference(size: Sequence[int], other: Sequence[int]) -> float:
    """Return the largest relative difference of two voxel sizes along an axis.

    >>> find_largest_difference((50, 4, 4), (45, 4, 4))
    0.1
    """
    return max(abs(a - b) / max(a, b) for a, b in zip(size, other, strict=True))
