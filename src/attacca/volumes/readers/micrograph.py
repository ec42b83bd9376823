"""Images in files of Gatan DigitalMicrograph (``.dm3``, ``.dm4``) through RosettaSciIO, which parses their tags."""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attacca.arrays.metadata import GridMetadata, set_lengths
from attacca.errors import VolumeError
from attacca.extras import import_extra
from attacca.volumes.readers.foreign_formats import describe_content
from attacca.volumes.readers.image_header import RESTORE, ImageHeader, explain_damage

DM_SUFFIXES = (".dm3", ".dm4")
_ZEROS_AT_END = 8
_TYPES = {
    1: "i2", 2: "f4", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 14: "u1",
}  # fmt: skip
_OTHER_TYPES = {
    3: "complex numbers", 5: "a packed Fourier transform", 8: "colors", 13: "complex numbers", 23: "colors",
    27: "a packed Fourier transform", 28: "a packed Fourier transform",
}  # fmt: skip
_NO_DISTANCES = {
    "ev": "energies", "kev": "energies", "deg": "angles", "degrees": "angles", "°": "angles", "rad": "angles",
    "mrad": "angles", "s": "times", "ms": "times", "1/nm": "spatial frequencies", "1/å": "spatial frequencies",
}  # fmt: skip
"""Meaning of an axis by its unit, in files that are not volumes: spectra, tilt series, videos, diffraction patterns."""


class Micrograph(NamedTuple):
    """The image of a file.

    Attributes:
        header: type and size of each of its sections.
        dtype: dtype of its voxels with the byte order of the file.
        begin: position of its first voxel in bytes.
        shape: number of voxels ``[z,] y, x``.
        end: number of bytes that the tags describe.
        metadata: voxel size in the calibration, spatial axes only.
        warnings: descriptions of values that are not used.
    """

    header: ImageHeader
    dtype: np.dtype
    begin: int
    shape: tuple[int, ...]
    end: int
    metadata: GridMetadata
    warnings: tuple[str, ...]

    @property
    def depth(self) -> int:
        """Number of sections."""
        return self.shape[0] if len(self.shape) == 3 else 1


def read_micrograph(path: Path) -> Micrograph:
    """Read the tags of a file.

    Raises:
        VolumeError: the file is damaged, has several images, or holds something else than gray values of sections; or
            the package that reads it is not installed.
    """
    with explain_damage(str(path), "cannot be read"):
        state = path.stat()
        return _read_state(path, state.st_size, state.st_mtime_ns)


def decode_micrograph(path: Path, page: int = 0) -> np.ndarray:
    """Return the voxels ``[y, x]`` of a section."""
    image = read_micrograph(path)
    rows, columns = image.shape[-2:]
    begin = image.begin + page * rows * columns * image.dtype.itemsize
    data = np.fromfile(path, image.dtype, rows * columns, offset=begin)
    return data.reshape(rows, columns).astype(image.header.dtype, copy=False)


@lru_cache(maxsize=2**12)
def _read_state(path: Path, size: int, time: int) -> Micrograph:
    tags, tags_end = _parse(path)
    image = _choose_image(path, tags)
    code = _get_number(image, path, "ImageData", "DataType")
    if code not in _TYPES:
        found = _OTHER_TYPES.get(code, f"voxels of the unknown type {code}")
        raise VolumeError(
            f"{path} holds {found}; expected gray values",
            fix="convert it to real numbers in DigitalMicrograph",
        )
    shape = _read_shape(image, path)
    stored = _find(image, "ImageData", "Data")
    if not isinstance(stored, dict) or "offset" not in stored:
        raise VolumeError(f"{path} has no voxels", fix=RESTORE)
    dtype = np.dtype(_TYPES[code]).newbyteorder(">" if stored["endian"] == "big" else "<")
    expected = math.prod(shape) * dtype.itemsize
    if stored["size_bytes"] != expected or stored["offset"] + expected > size:
        found = min(stored["size_bytes"], size - stored["offset"])
        raise VolumeError(
            f"{path} is truncated or damaged: found {found} bytes of voxels, expected {expected} for {shape} voxels of "
            f"{dtype.name}",
            fix=RESTORE,
        )
    header = ImageHeader(dtype.newbyteorder("="), shape[-2], shape[-1], bits=8 * dtype.itemsize)
    metadata, warnings = _read_calibration(image, shape, path)
    return Micrograph(header, dtype, stored["offset"], shape, tags_end + _ZEROS_AT_END, metadata, warnings)


def _parse(path: Path) -> tuple[dict[str, Any], int]:
    """Return all tags of a file, and the position after the last one."""
    import_extra(
        "rsciio.digitalmicrograph._api",
        "dm",
        f"{path} is in the format Gatan DigitalMicrograph, which the package rosettasciio reads",
    )
    # deferred: an optional package, which takes a second to import
    from attacca.volumes.readers.micrograph_tags import TagReader

    with path.open("rb") as file:
        if int.from_bytes(file.read(4)) not in (3, 4):
            content = describe_content(path) or "its version is not 3 or 4"
            raise VolumeError(f"{path} is not a file of DigitalMicrograph: {content}", fix=RESTORE)
        reader = TagReader(file)
        reader.parse_file()
        assert reader.tags_dict is not None
        return reader.tags_dict, file.tell()


def _choose_image(path: Path, tags: dict[str, Any]) -> Any:
    """Return the tags of the only image that is not a thumbnail."""
    images, thumbnails = tags.get("ImageList"), tags.get("Thumbnails")
    small = (
        {_find(tag, "ImageIndex") for tag in thumbnails.values()} if isinstance(thumbnails, dict) else set()
    )
    found = list(images.values()) if isinstance(images, dict) else []
    found = [image for index, image in enumerate(found) if index not in small]
    if len(found) != 1:
        names = ", ".join(str(_find(image, "Name") or "without a name")[:60] for image in found[:10])
        raise VolumeError(
            f"{path} holds {len(found)} images{f' ({names})' if names else ''}, expected one",
            fix="save each image as a file of its own in DigitalMicrograph",
        )
    kind = str(_find(found[0], "ImageTags", "Meta Data", "Format"))
    if kind.startswith("Spectrum"):
        raise VolumeError(f"{path} holds spectra (format {kind!r}), not sections", fix="choose another file")
    return found[0]


def _read_shape(image: Any, path: Path) -> tuple[int, ...]:
    sizes = _find(image, "ImageData", "Dimensions")
    shape = tuple(sizes.values())[::-1] if isinstance(sizes, dict) else ()
    if len(shape) not in (2, 3) or not all(isinstance(size, int) and size > 0 for size in shape):
        raise VolumeError(
            f"{path}: found an image of {' x '.join(map(str, shape[::-1])) or 'unknown'} voxels, expected two or three axes",
            fix="choose another file, or save one image or volume alone",
        )
    return shape


def _read_calibration(image: Any, shape: tuple[int, ...], path: Path) -> tuple[GridMetadata, tuple[str, ...]]:
    """Return the voxel size in the tags, and a warning if they hold an origin.

    Raises:
        VolumeError: the axes are not distances.
    """
    axes = ["z", "y", "x"][-len(shape) :]
    known = GridMetadata(axes, None, None, None, "the calibration")
    tags = _find(image, "ImageData", "Calibrations", "Dimension")
    found = list(tags.values())[::-1] if isinstance(tags, dict) else []
    if len(found) != len(shape):
        return known.reject(f"its calibration has {len(found)} axes, and the image has {len(shape)}"), ()
    units = [str(_find(calibration, "Units") or "").strip() for calibration in found]
    for axis, unit in zip(axes, units):
        if unit.lower() in _NO_DISTANCES:
            raise VolumeError(
                f"{path}: found {_NO_DISTANCES[unit.lower()]} along the axis {axis} (unit {unit!r}), expected distances",
                fix="choose another file; or correct the calibration in DigitalMicrograph if it holds sections",
            )
    origins = [_find(calibration, "Origin") for calibration in found]
    warnings: tuple[str, ...] = ()
    if any(origins):
        warnings = (
            f"{path}: the origin in its calibration is not used; set offset if the volume does not begin at 0",
        )
    missing = [axis for axis, unit in zip(axes, units) if not unit]
    if missing:
        return known.reject(f"its calibration has no unit along {' and '.join(missing)}"), warnings
    # Six digits: the tags hold numbers of 32 bits.
    scales = [_find(calibration, "Scale") for calibration in found]
    if not all(isinstance(scale, float) and math.isfinite(scale) for scale in scales):
        return known.reject(f"its calibration is {scales}, expected positive numbers"), warnings
    return set_lengths(known, [float(f"{scale:.6g}") for scale in scales], None, units), warnings


def _get_number(image: Any, path: Path, *names: str) -> int:
    value = _find(image, *names)
    if not isinstance(value, int):
        raise VolumeError(f"{path} has no tag {'.'.join(names)}", fix=RESTORE)
    return value


def _find(tags: Any, *names: str) -> Any:
    """Return the value of a tag in nested groups; None if it does not exist."""
    for name in names:
        tags = tags.get(name) if isinstance(tags, dict) else None
    return tags
