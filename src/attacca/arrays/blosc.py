"""Blosc chunks are decoded only if they are complete.

The decoder of numcodecs (0.17) does not compare the length of a chunk with the length that its header states. Of a truncated
chunk, it reads beyond the end, and returns what it finds in memory there. The codecs of this module take its place for all
Zarr arrays of a process.
"""

from typing import Any

import numcodecs
import zarr
from numcodecs.compat import ensure_contiguous_ndarray
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.registry import register_codec

_HEADER_BYTES = 16
_LENGTH = slice(12, 16)


def check_length(chunk: Any) -> None:
    """Check that a chunk has as many bytes as its header states.

    Args:
        chunk: the stored bytes.

    Raises:
        ValueError: it has fewer bytes.

    >>> check_length(b"short")
    Traceback (most recent call last):
    ValueError: found 5 bytes of a Blosc chunk, expected at least 16
    """
    data = memoryview(ensure_contiguous_ndarray(chunk)).cast("B")
    stated = int.from_bytes(data[_LENGTH], "little") if data.nbytes >= _HEADER_BYTES else 0
    if data.nbytes < max(stated, _HEADER_BYTES):
        raise ValueError(
            f"found {data.nbytes} bytes of a Blosc chunk, expected at least {max(stated, _HEADER_BYTES)}"
        )


class CompleteBlosc(numcodecs.Blosc):  # type: ignore[misc]  # numcodecs has no types
    """Blosc in Zarr 2."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        check_length(buf)
        return super().decode(buf, out)


class CompleteBloscCodec(BloscCodec):
    """Blosc in Zarr 3."""

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        check_length(chunk_bytes.as_numpy_array())
        return super()._decode_sync(chunk_bytes, chunk_spec)


def use_complete_chunks() -> None:
    """Make the codecs of this module those of all Zarr arrays of the process.

    >>> use_complete_chunks()
    >>> type(numcodecs.get_codec({"id": "blosc"})).__name__
    'CompleteBlosc'
    """
    numcodecs.register_codec(CompleteBlosc, "blosc")
    register_codec("blosc", CompleteBloscCodec)
    zarr.config.set({"codecs.blosc": f"{__name__}.{CompleteBloscCodec.__name__}"})
