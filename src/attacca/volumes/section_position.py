"""Signs of wrong positions and voxel sizes: numbers of sections, reduced resolutions, axes in reverse order."""

import math
from collections.abc import Sequence
from itertools import islice

from funlib.geometry import Coordinate

from attacca.config.units import convert_length
from attacca.errors import VolumeError
from attacca.volumes.readers.source import Source

_SHOWN = 5
"""Section numbers that a message lists."""


class MisplacedSectionsError(VolumeError):
    """Labels or a mask whose section numbers contradict their position.

    Attributes:
        offset: position of the first section by its number in the unit of the volume; None if the sections do not follow
            each other in the image.
    """

    offset: list[int] | None = None


def have_equal_numbers(image: Sequence[int], others: Sequence[int], index: int) -> bool:
    """Return whether sections have the numbers of the image's sections at their position.

    >>> have_equal_numbers([101, 102, 103], [102, 103], 1), have_equal_numbers([101, 102, 103], [102, 103], 0)
    (True, False)
    """
    return bool(others) and index >= 0 and list(image[index : index + len(others)]) == list(others)


def check_section_numbers(
    key: str, image: Source, other: Source, origin: Coordinate, begin: Coordinate, voxel_size: Coordinate
) -> bool:
    """Refuse sections of labels or a mask whose numbers are those of other sections of the image.

    Numbers that differ by one constant, such as sections counted from 0 and from 1, pass if the numbers of sections are
    equal.

    Args:
        key: ``labels`` or ``mask``.
        image, other: the sources.
        origin, begin: lower corners of the image and of the other source, in world units.
        voxel_size: of the volume.

    Returns:
        Whether the numbers confirm the position.

    Raises:
        MisplacedSectionsError: the numbers contradict the position.
    """
    numbers, own = image.section_numbers, other.section_numbers
    index = int((begin - origin)[0] // voxel_size[0])
    if have_equal_numbers(numbers, own, index):
        return True
    common = set(numbers) & set(own)
    is_shifted = len(numbers) == len(own) and len({a - b for a, b in zip(numbers, own)}) == 1
    if is_shifted or 2 * len(common) <= len(own):
        return False
    start = numbers.index(own[0]) if own[0] in common else -1
    if have_equal_numbers(numbers, own, start):
        offset = [int(origin[0] + start * voxel_size[0]), *map(int, begin[1:])]
        error = MisplacedSectionsError(
            f"by their names, the {key} {other.name} begin with section {own[0]}, which is the {_ordinal(start + 1)} "
            f"section of the image {image.name}; without an offset they are placed at section {numbers[0]}",
            fix=f"set 'offset: {offset}' beside the path of the {key}, or 'offset: {list(begin)}' if the "
            "numbers of the files count different sections",
        )
        error.offset = offset
        raise error
    missing = sorted(set(numbers) - set(own))
    unknown = sorted(set(own) - set(numbers))
    parts = [
        f"{text}: {', '.join(map(str, islice(found, _SHOWN)))}{', ...' if len(found) > _SHOWN else ''}"
        for text, found in ((f"without {key}", missing), ("without image", unknown))
        if found
    ]
    steps = [
        "save a file of the image for each of its missing sections, a copy of a neighbor or a black one"
    ] * bool(unknown)
    steps += [
        f"save a file of the {key} for each section of the image, with one value in all voxels of sections that are not "
        "annotated ('unlabelled' names it)"
    ] * bool(missing)
    raise MisplacedSectionsError(
        f"the sections of the {key} {other.name} are not consecutive sections of the image {image.name} by the numbers in "
        f"their names ({'; '.join(parts)}), and would be stacked without the space between them",
        fix="; ".join(steps)
        + f"; or set 'offset' beside the path of the {key} if the numbers count different sections",
    )


def describe_other_resolution(image: Source, labels: Source) -> str:
    """Return which whole number of voxels of the image one voxel of labels replaces along the axes, as text.

    The text is empty unless the labels have the shape of an image that was reduced by one whole factor, along y and x or
    along all axes.
    """
    pairs = list(zip(image.spatial_shape, labels.spatial_shape, strict=True))
    factor = round(pairs[-1][0] / pairs[-1][1])
    if factor < 2:
        return ""
    reduced = [size in (count // factor, math.ceil(count / factor)) for count, size in pairs]
    lead_is_kept = len(pairs) == 3 and pairs[0][0] == pairs[0][1]
    if not all(reduced[-2:]) or not (all(reduced) or lead_is_kept):
        return ""
    axes = ("y", "x") if lead_is_kept or len(pairs) == 2 else ("z", "y", "x")
    return f"{factor} times fewer voxels along {', '.join(axes[:-1])} and {axes[-1]}"


def check_resolution(image: Source, labels: Source) -> None:
    """Refuse labels with the shape of a reduced image, whose file states the reduced voxel size, too.

    Raises:
        VolumeError: shape and stored voxel size of the labels are those of a lower resolution.
    """
    text = describe_other_resolution(image, labels)
    ours, others = image.metadata, labels.metadata
    if not text or not ours.voxel_size or not others.voxel_size:
        return
    sizes = convert_length(others.voxel_size, others.unit or "nanometer", ours.unit or "nanometer")
    if len(sizes) == len(ours.voxel_size) and sizes[-1] >= 1.5 * ours.voxel_size[-1]:
        raise VolumeError(
            f"the labels have a lower resolution than the image: {labels.name} has {text}, and its voxel size is "
            f"{list(others.voxel_size)} {others.unit or 'nanometer'}, that of {image.name} {list(ours.voxel_size)} "
            f"{ours.unit or 'nanometer'}",
            fix="repeat each voxel of the labels, or use the image at the resolution of the labels; set 'offset' beside "
            "the path of the labels if they are a part of the image at its resolution",
        )


def describe_reversed_axes(image: Source, other: Source) -> str:
    """Return the fix for a source with the shape of the image in reverse order; an empty text for other shapes."""
    shape = image.spatial_shape
    if other.spatial_shape != shape[::-1] or other.spatial_shape == shape:
        return ""
    return (
        "its axes seem to be in reverse order: save it in the order z, y, x, or set 'axes: xyz' beside the path of an HDF5 "
        "or MRC file; "
    )


def warn_of_reversed_size(voxel_size: Coordinate, unit: str) -> list[str]:
    """Return a warning about voxels that are long along x alone: micrographs have square pixels.

    >>> warn_of_reversed_size(Coordinate(4, 4, 40), "nanometer")[0][-26:]
    'set voxel_size: [40, 4, 4]'
    >>> warn_of_reversed_size(Coordinate(40, 4, 4), "nanometer")
    []
    """
    z, y, x = voxel_size if len(voxel_size) == 3 else (1, 1, 1)
    if z != y or 2 * x < 3 * y:
        return []
    return [
        f"the voxel size is {z} along z, {y} along y and {x} along x in {unit}. If sections are {x} {unit} thick, it is "
        f"stated in the order x, y, z: set voxel_size: {[x, y, z]}"
    ]


def _ordinal(number: int) -> str:
    """Return a number as a rank.

    >>> [_ordinal(number) for number in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
