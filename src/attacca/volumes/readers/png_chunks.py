"""Headers and checksums of PNG files.

Pillow ignores the checksums of pixel data and hides the bit depth, so the chunks of a file are read here.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_header import RESTORE, ImageHeader, check_orientation

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOR_TYPES = {0: ("gray", 1), 2: ("rgb", 3), 3: ("palette", 1), 4: ("gray", 2), 6: ("rgb", 4)}
_LARGEST_METADATA = 2**24


def read_png_header(path: Path) -> ImageHeader:
    """Read type, size and palette of a PNG file.

    Raises:
        VolumeError: the file is not a PNG file, or is an animation.
        ValueError: a chunk is damaged.
    """
    with path.open("rb") as file:
        chunks: dict[bytes, bytes] = {}
        for kind, content in _walk(path, file, pixels=False):
            chunks.setdefault(kind, content)
    if b"IHDR" not in chunks or len(chunks[b"IHDR"]) != 13:
        raise ValueError("the header is missing")
    columns, rows, bits, color, _, _, _ = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    if color not in _COLOR_TYPES or bits not in (1, 2, 4, 8, 16):
        raise ValueError(f"the header has the color type {color} with {bits} bits")
    if b"acTL" in chunks and struct.unpack(">I", chunks[b"acTL"][:4])[0] > 1:
        raise VolumeError(f"{path} is an animation with several images", fix="save each section as one file")
    check_orientation(str(path), _read_orientation(chunks.get(b"eXIf")))
    photometric, samples = _COLOR_TYPES[color]
    palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8) if color == 3 else np.zeros(0, np.uint8)
    transparent = color == 3 and min(chunks.get(b"tRNS", b""), default=255) < 255
    return ImageHeader(
        np.dtype(np.uint16 if bits == 16 else np.uint8), rows, columns, samples, bits, photometric,
        color in (4, 6) or transparent, (palette.astype(np.uint16) * 257).tobytes(),
    )  # fmt: skip


def _read_orientation(exif: bytes | None) -> object:
    if exif is None:
        return None
    # deferred: only needed for image files
    from PIL import Image

    values = Image.Exif()
    values.load(exif)
    return values.get(0x0112)


def check_png_chunks(path: Path) -> None:
    """Compare all checksums of a PNG file.

    Raises:
        VolumeError: the file is truncated.
        ValueError: a chunk is damaged.
    """
    with path.open("rb") as file:
        kinds = [kind for kind, _ in _walk(path, file, pixels=True)]
    if b"IDAT" not in kinds or kinds[-1] != b"IEND":
        raise VolumeError(f"{path} is truncated: its end is missing", fix=RESTORE)


def _walk(path: Path, file: BinaryIO, pixels: bool) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks with checked checksums; up to the first pixels, or all."""
    if file.read(8) != _SIGNATURE:
        raise ValueError("it does not have the signature of PNG")
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise VolumeError(f"{path} is truncated: it has no complete chunk of pixels", fix=RESTORE)
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT" and not pixels:
            return
        content = file.read(length) if pixels or length <= _LARGEST_METADATA else b""
        checksum = file.read(4)
        if len(content) < length or len(checksum) < 4:
            raise VolumeError(f"{path} is truncated: the chunk {kind!r} is incomplete", fix=RESTORE)
        if zlib.crc32(content, zlib.crc32(kind)) != struct.unpack(">I", checksum)[0]:
            raise ValueError(f"the checksum of the chunk {kind!r} is wrong")
        yield kind, b"" if kind == b"IDAT" else content
        if kind == b"IEND":
            return
