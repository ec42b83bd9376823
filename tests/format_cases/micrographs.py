"""Files of Gatan DigitalMicrograph (DM3, DM4), written by the public description of their tags.

Reference: https://www.er-c.org/cbb/info/dmformat
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from format_cases.case import IDS, VOXELS, FormatCase, Ranges

_DM = "DigitalMicrograph"
_CODES = {"i2": 1, "f4": 2, "u1": 6, "i4": 7, "i1": 9, "u2": 10, "u4": 11, "f8": 12, "c8": 3}
"""Type of voxels in ``ImageData.DataType``."""
_ELEMENTS = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "u1": 10, "i1": 10}
"""Type of a value in the description of a tag."""


class Tags:
    """Writer of tags.

    Args:
        version: 3 or 4; lengths have 4 or 8 bytes.
        order: byte order of values: ``<`` or ``>``.
    """

    def __init__(self, version: int = 4, order: str = "<") -> None:
        self.version, self.order = version, order
        self._length = ">q" if version == 4 else ">i"

    def _lengths(self, *values: int) -> bytes:
        return b"".join(struct.pack(self._length, value) for value in values)

    def _tag(self, kind: int, name: str, content: bytes) -> bytes:
        size = self._lengths(len(content)) if self.version == 4 else b""
        return struct.pack(">BH", kind, len(name)) + name.encode() + size + content

    def group(self, name: str, *tags: bytes) -> bytes:
        return self._tag(20, name, self.body(*tags))

    def body(self, *tags: bytes) -> bytes:
        return bytes(2) + self._lengths(len(tags)) + b"".join(tags)

    def value(self, name: str, value: Any, dtype: str) -> bytes:
        content = np.asarray(value, self.order + dtype).tobytes()
        return self._tag(21, name, b"%%%%" + self._lengths(1, _ELEMENTS[dtype]) + content)

    def array(self, name: str, values: np.ndarray) -> bytes:
        content = values.astype(values.dtype.newbyteorder(self.order)).tobytes()
        if values.dtype.kind == "c":
            info = (20, 15, 0, 2, 0, 6, 0, 6, values.size)
        else:
            info = (20, _ELEMENTS[values.dtype.str[1:]], values.size)
        return self._tag(21, name, b"%%%%" + self._lengths(len(info), *info) + content)

    def text(self, name: str, text: str) -> bytes:
        return self.array(name, np.frombuffer(text.encode("utf-16-le"), "<u2").astype("u2"))

    def image(
        self, data: np.ndarray, calibration: Any, code: int = 0, name: str = "cell", *more: bytes
    ) -> bytes:
        """Return the tags of an image, with further tags; its calibration is scale and unit of each axis, x first."""
        dimensions = [
            self.group(
                "", self.value("Origin", 0, "f4"), self.value("Scale", scale, "f4"), self.text("Units", unit)
            )
            for scale, unit in calibration
        ]
        brightness = self.group("Brightness", self.value("Scale", 1, "f4"), self.text("Units", ""))
        return self.group(
            "",
            self.group(
                "ImageData",
                self.group("Calibrations", brightness, self.group("Dimension", *dimensions)),
                self.array("Data", data.reshape(-1)),
                self.value("DataType", code or _CODES[data.dtype.str[1:]], "u4"),
                self.group("Dimensions", *(self.value("", size, "u4") for size in data.shape[::-1])),
                self.value("PixelDepth", data.itemsize, "u4"),
            ),
            self.text("Name", name),
            self.group("ImageTags", *more),
        )  # fmt: skip

    def file(self, *images: bytes) -> bytes:
        """Return a file with a thumbnail and images."""
        thumbnail = self.image(np.full((8, 8), 7, "i4"), [], 23, "thumbnail")
        root = self.body(
            self.value("ApplicationBounds", 3, "i4"),
            self.group("ImageList", thumbnail, *images),
            self.group("Thumbnails", self.group("", self.value("ImageIndex", 0, "u4"))),
        )
        size = struct.pack(">q" if self.version == 4 else ">i", len(root))
        return struct.pack(">i", self.version) + size + struct.pack(">i", self.order == "<") + root + bytes(8)


NANOMETERS = ((4.0, "nm"), (4.0, "nm"), (40.0, "nm"))


def dm(
    data: np.ndarray, version: int = 4, calibration: Any = NANOMETERS, order: str = "<", code: int = 0
) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes one file; its voxels are ``[z, y, x]``."""

    def write(directory: Path) -> dict[str, Any]:
        tags = Tags(version, order)
        path = directory / f"a.dm{version}"
        path.write_bytes(tags.file(tags.image(data, calibration[: data.ndim], code)))
        return {"path": path.name}

    return write


def _sections(directory: Path) -> dict[str, Any]:
    (directory / "raw").mkdir()
    for z, section in enumerate(VOXELS.astype("i2")):
        tags = Tags()
        content = tags.file(tags.image(section, NANOMETERS[:2]))
        (directory / "raw" / f"3View_{z:04}.dm4").write_bytes(content)
    return {"path": "raw"}


def _several(directory: Path) -> dict[str, Any]:
    tags = Tags()
    images = [tags.image(VOXELS, NANOMETERS, 0, name) for name in ("before", "after")]
    (directory / "a.dm4").write_bytes(tags.file(*images))
    return {"path": "a.dm4"}


def _spectrum(directory: Path) -> dict[str, Any]:
    tags = Tags()
    kind = tags.group("Meta Data", tags.text("Format", "Spectrum image"))
    (directory / "a.dm4").write_bytes(tags.file(tags.image(VOXELS, NANOMETERS, 0, "cell", kind)))
    return {"path": "a.dm4"}


def find_voxels(directory: Path) -> Ranges:
    """Return the voxels of all images."""
    ranges: Ranges = {}
    for path in sorted(directory.rglob("*.dm[34]")):
        content = path.read_bytes()
        found = []
        position = content.find(b"\0\x04Data")
        while position >= 0:
            begin = content.index(b"%%%%", position) + 4
            width = 8 if content[3] == 4 else 4
            count, _, element, size = (
                int.from_bytes(content[begin + i * width : begin + (i + 1) * width]) for i in range(4)
            )
            if count == 3:
                item = {2: 2, 3: 4, 4: 2, 5: 4, 6: 4, 7: 8, 10: 1}[element]
                found.append((begin + 4 * width, begin + 4 * width + size * item))
            position = content.find(b"\0\x04Data", position + 1)
        ranges[path] = found
    return ranges


_SIZE = ((40.0, 4.0, 4.0), "nanometer")
_SHORT = VOXELS.astype("i2")
_LIBRARY = "rsciio"

CASES = [
    FormatCase(_DM, "DM3, volume", _LIBRARY, dm(_SHORT, 3), _SHORT, voxel_size=_SIZE, payload=find_voxels),
    FormatCase(_DM, "DM4, volume", _LIBRARY, dm(VOXELS, 4), VOXELS, voxel_size=_SIZE, payload=find_voxels),
    FormatCase(_DM, "DM3, big-endian", _LIBRARY, dm(_SHORT, 3, order=">"), _SHORT, voxel_size=_SIZE, payload=find_voxels),
    FormatCase(_DM, "DM4, floating-point numbers", _LIBRARY, dm(VOXELS.astype("f4")), VOXELS.astype("f4"), voxel_size=_SIZE,
        payload=find_voxels),
    FormatCase(_DM, "directory, one section per file (3View)", _LIBRARY, _sections, _SHORT, payload=find_voxels,
        reason="the files do not hold the distance of sections"),
    FormatCase(_DM, "labels, 32 bits", _LIBRARY, dm(IDS), IDS, use="labels", voxel_size=_SIZE, payload=find_voxels),
    FormatCase(_DM, "calibration in pixels", _LIBRARY, dm(VOXELS, calibration=((1.0, ""),) * 3), VOXELS, payload=find_voxels,
        reason="'voxel_size' has to be configured"),
    FormatCase(_DM, "several images", "", _several, refused=r"holds 2 images \(before, after\)",
        reason="each has to be a file of its own"),
    FormatCase(_DM, "color", "", dm(np.ones((6, 20, 16), "i4"), code=23), refused="holds colors", reason="gray values are expected"),
    FormatCase(_DM, "complex numbers", "", dm(VOXELS.astype("c8")), refused="complex numbers",
        reason="they have to be converted to real numbers"),
    FormatCase(_DM, "spectrum image", "", _spectrum, refused="spectra", reason="its third axis is an energy"),
    FormatCase(_DM, "tilt series", "", dm(VOXELS, calibration=((4.0, "nm"), (4.0, "nm"), (1.5, "deg"))), refused="angles along the axis z",
        reason="a tomogram has to be reconstructed from it"),
]  # fmt: skip
