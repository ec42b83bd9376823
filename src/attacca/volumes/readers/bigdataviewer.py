"""XML files of BigDataViewer and BigStitcher, which describe images in HDF5 or N5.

Reference: https://imagej.net/plugins/bdv/#the-bdv-xml-format
"""

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from attacca.arrays.metadata import GridMetadata, set_lengths
from attacca.config.volumes import ArraySource
from attacca.errors import MissingInputError, VolumeError, summarize_error
from attacca.volumes.readers.described_array import DescribedArray
from attacca.volumes.readers.image_header import RESTORE

_ROOT = b"<SpimData"
_BEGINNING = 4096
_LARGEST = 64 << 20
_MOST_NAMES = 20
_NAME = re.compile(
    r"(?:t(?P<t>\d{1,9})/)?s(?P<s>\d{1,9})|setup(?P<setup>\d{1,9})(?:/timepoint(?P<timepoint>\d{1,9}))?"
)
_INTERVAL = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9}))?)?")
_TOLERANCE = 1e-6


class _Setup(NamedTuple):
    """A view setup: channel, angle, illumination or tile of the recording.

    Attributes:
        shape: number of voxels along z, y, x.
        voxel_size: as stored, along z, y, x; None if it is not stored.
    """

    number: int
    name: str
    shape: tuple[int, ...]
    voxel_size: tuple[float, ...] | None
    unit: str

    def __str__(self) -> str:
        return f"s{self.number:02} ({f'{self.name}, ' if self.name else ''}{' x '.join(map(str, self.shape[::-1]))} voxels)"


def is_bigdataviewer(path: Path) -> bool:
    """Return True for an XML file of BigDataViewer.

    >>> is_bigdataviewer(Path("no_such_file.xml"))
    False
    """
    if path.suffix.lower() != ".xml" or not os.path.isfile(path) or not os.access(path, os.R_OK):
        return False
    with path.open("rb") as file:
        return _ROOT in file.read(_BEGINNING)


def describe_view(source: ArraySource) -> DescribedArray:
    """Return the image that an XML file describes: its only one, or the one that ``dataset`` names (``t00000/s00``).

    Raises:
        MissingInputError: there are several images, or the named one does not exist.
        VolumeError: the file is damaged, or the position of its voxels is not that of an axis-parallel grid.
    """
    path = Path(source.path)
    root = _parse(path)
    setup, time = _choose_view(source, _read_setups(root, path), _read_times(root, path))
    container, dataset = _locate(root, path, setup.number, time)
    metadata, warnings = _place(root, path, setup, time)
    return DescribedArray(
        source.model_copy(update={"path": container, "dataset": dataset}),
        (path,),
        metadata,
        shape=setup.shape,
        warnings=warnings,
    )


class _WithoutEntities(ElementTree.TreeBuilder):
    """Builder that refuses definitions of entities, which can exhaust the memory."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type definition")


def _parse(path: Path) -> ElementTree.Element:
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST >> 20} MiB")
        return ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_WithoutEntities()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise VolumeError(f"{path} cannot be read as XML: {summarize_error(error)}", fix=RESTORE) from error


def _read_setups(root: ElementTree.Element, path: Path) -> dict[int, _Setup]:
    setups = {}
    for item in root.findall("SequenceDescription/ViewSetups/ViewSetup"):
        number = _parse_numbers(item, "id", path, 1)
        size = item.find("voxelSize")
        stored = None if size is None else _parse_numbers(size, "size", path, 3)
        unit = "" if size is None else size.findtext("unit", "").strip()
        shape = _parse_numbers(item, "size", path, 3)
        if any(value != int(value) or value < 1 for value in shape) or number[0] != int(number[0]):
            raise VolumeError(
                f"{path}: found an image of {shape} voxels, expected positive numbers", fix=RESTORE
            )
        setups[int(number[0])] = _Setup(
            int(number[0]), item.findtext("name", "").strip(), tuple(int(value) for value in shape[::-1]),
            stored[::-1] if stored else None, unit,
        )  # fmt: skip
    return setups


def _parse_numbers(element: ElementTree.Element, tag: str, path: Path, count: int) -> tuple[float, ...]:
    text = element.findtext(tag) or ""
    try:
        numbers = tuple(float(part) for part in text.split())
    except ValueError:
        numbers = ()
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise VolumeError(
            f"{path}: found {text.strip()[:60]!r} as <{tag}> of <{element.tag}>, expected {count} "
            f"number{'' if count == 1 else 's'}",
            fix=RESTORE,
        )
    return numbers


def _read_times(root: ElementTree.Element, path: Path) -> list[range]:
    """Return the numbers of the points of time."""
    element = root.find("SequenceDescription/Timepoints")
    kind = None if element is None else element.get("type")
    if element is None:
        text = ""
    elif kind == "range":
        text = f"{element.findtext('first', '')}-{element.findtext('last', '')}"
    elif kind == "list":
        text = ",".join(item.findtext("id", "") for item in element.findall("Timepoint"))
    else:
        text = element.findtext("integerpattern", "")
    times = []
    for part in text.split(","):
        found = _INTERVAL.fullmatch(part.strip())
        first, last, step = (
            (int(value) if value else None for value in found.groups()) if found else (None,) * 3
        )
        if first is None or step == 0 or (last is not None and last < first):
            raise VolumeError(
                f"{path}: found the points of time {text[:60]!r}, expected numbers such as 0-9", fix=RESTORE
            )
        times.append(range(first, (first if last is None else last) + 1, step or 1))
    return times


def _choose_view(source: ArraySource, setups: dict[int, _Setup], times: list[range]) -> tuple[_Setup, int]:
    name = (source.dataset or "").strip("/")
    found = _NAME.fullmatch(name) if name else None
    parts = found.groupdict() if found else {}
    number, time = parts.get("s") or parts.get("setup"), parts.get("t") or parts.get("timepoint")
    is_known = (number is None or int(number) in setups) and (
        time is None or any(int(time) in part for part in times)
    )
    first = times[0][0] if times else 0
    if number is None and len(setups) == 1:
        number = str(next(iter(setups)))
    if time is None and sum(map(len, times)) == 1:
        time = str(first)
    if (name and not found) or not is_known or number is None or time is None:
        names = [str(setup) for setup in setups.values()]
        names[_MOST_NAMES:] = [f"and {len(names) - _MOST_NAMES} others"] * (len(names) > _MOST_NAMES)
        points = ", ".join(
            f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in times[:_MOST_NAMES]
        )
        problem = f"has no image {name!r}" if name and not (found and is_known) else "holds several images"
        raise MissingInputError(
            f"{source.path} {problem if setups else 'describes no image'}; it has {', '.join(names) or 'no view setup'}, "
            f"and the points of time {points}",
            fix=f"name one, such as dataset: t{first:05}/s{next(iter(setups), 0):02}",
        )
    return setups[int(number)], int(time)


def _locate(root: ElementTree.Element, path: Path, setup: int, time: int) -> tuple[Path, str]:
    """Return the container and the data set of a view."""
    loader = root.find("SequenceDescription/ImageLoader")
    kind = "none" if loader is None else loader.get("format", "none")
    tags = {
        "bdv.hdf5": ("hdf5", f"t{time:05}/s{setup:02}/0/cells"),
        "bdv.n5": ("n5", f"setup{setup}/timepoint{time}/s0"),
    }
    if loader is None or kind not in tags:
        raise VolumeError(
            f"{path} describes images of the format {kind[:60]!r}, expected {' or '.join(tags)}",
            fix="give the path of the images themselves, or save them as HDF5 or N5 in BigDataViewer",
        )
    tag, dataset = tags[kind]
    name = loader.findtext(tag, "").strip()
    if not name or "\0" in name:
        raise VolumeError(f"{path}: the name of the {tag} file is missing", fix=RESTORE)
    base = path.parent / root.findtext("BasePath", ".").strip()
    container = Path(_simplify(base / name))
    if not container.exists():
        raise MissingInputError(
            f"{path} describes images in {container}, which does not exist", fix="restore or copy it"
        )
    return container, dataset


def _simplify(path: Path) -> str:
    """Return a path without its parts ``.``."""
    return str(path).replace("/./", "/").removesuffix("/.")


def _place(
    root: ElementTree.Element, path: Path, setup: _Setup, time: int
) -> tuple[GridMetadata, tuple[str, ...]]:
    """Return voxel size and offset of a view, and a warning if its translation is not used.

    The transformation may repeat the voxel size: in its unit, or divided by a common factor. It is the identity if the image
    was never registered.

    Raises:
        VolumeError: the transformation rotates, shears or mirrors the image.
    """
    what = f"the voxelSize in {path.name}"
    known = GridMetadata(["z", "y", "x"], None, None, None, what)
    matrix = _multiply_transforms(root, path, setup.number, time)
    linear, shift = matrix[:, :3], matrix[:, 3]
    scale = np.diag(linear)
    if (scale <= 0).any() or np.abs(linear - np.diag(scale)).max() > _TOLERANCE * scale.max():
        raise VolumeError(
            f"{path}: the transformation of setup {setup.number} rotates, shears or mirrors the image; expected a scale "
            "and a translation",
            fix="save the fused image (BigStitcher, Image Fusion), or give the path of the data alone and set 'voxel_size'",
        )
    if setup.voxel_size is None:
        return known.reject(f"{what} is missing"), ()
    if not setup.unit:
        return known.reject(f"{what} has no unit"), ()
    size = np.array(setup.voxel_size[::-1])
    if not (size > 0).all():
        return known.reject(f"{what} is {setup.voxel_size}, expected positive numbers"), ()
    ratio = scale / size
    moved = tuple(float(f"{value:.9g}") for value in shift[::-1])
    metadata = set_lengths(known, setup.voxel_size, None, [setup.unit])
    if np.ptp(ratio) <= _TOLERANCE * ratio.max():
        offset = tuple(float(f"{value:.9g}") for value in (shift / ratio[0])[::-1])
        if metadata.voxel_size is None or not any(offset):
            return metadata, ()
        return replace(metadata, offset=offset), ()
    if np.abs(scale - 1).max() > _TOLERANCE:
        numbers = tuple(float(f"{value:.6g}") for value in scale[::-1])
        return known.reject(
            f"{what} is {setup.voxel_size} along z, y, x, but its transformation scales voxels to {numbers}"
        ), ()
    warning = (
        f"{path}: the translation {moved} of setup {setup.number} is not used; set offset if the volume does not begin "
        "at 0"
    )
    return metadata, (warning,) if any(moved) else ()


def _multiply_transforms(root: ElementTree.Element, path: Path, setup: int, time: int) -> np.ndarray:
    """Return the matrix ``[3, 4]`` from voxels to the world, x first. The last transformation is applied first."""
    matrix: np.ndarray[Any, Any] = np.eye(4)
    for item in root.findall("ViewRegistrations/ViewRegistration"):
        if (item.get("setup"), item.get("timepoint")) != (str(setup), str(time)):
            continue
        for transform in item.findall("ViewTransform"):
            if transform.get("type") != "affine":
                raise VolumeError(
                    f"{path}: found a transformation of the type {transform.get('type')!r}, expected 'affine'",
                    fix=RESTORE,
                )
            numbers = _parse_numbers(transform, "affine", path, 12)
            matrix = matrix @ np.vstack([np.reshape(numbers, (3, 4)), [0, 0, 0, 1]])
    return matrix[:3]
