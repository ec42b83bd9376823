"""Chunks that Blosc has compressed."""

from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.errors import VolumeError

VALUES = np.random.default_rng(0).integers(0, 40, (8, 8, 8), np.uint8)


@pytest.fixture(params=[2, 3])
def stored(request, tmp_path) -> tuple[Path, Path]:
    """A container with the array ``raw``, and the file of its only chunk."""
    codec = BloscCodec(cname="lz4", shuffle="noshuffle")
    if request.param == 2:
        codec = numcodecs.Blosc("lz4", shuffle=0)
    array = zarr.create_array(
        tmp_path / "volume.zarr",
        name="raw",
        shape=VALUES.shape,
        chunks=VALUES.shape,
        dtype="u1",
        compressors=[codec],
        zarr_format=request.param,
        chunk_key_encoding={"name": "default" if request.param == 3 else "v2", "separator": "/"},
    )
    array[:] = VALUES
    (chunk,) = (path for path in (tmp_path / "volume.zarr/raw").rglob("0") if path.is_file())
    return tmp_path / "volume.zarr", chunk


def read(container: Path) -> np.ndarray:
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, "raw"))
    return array[array.roi]


def test_a_whole_chunk_is_read(stored):
    np.testing.assert_array_equal(read(stored[0]), VALUES)


@pytest.mark.parametrize("kept", [0.999, 0.7, 0.05, 0.02])
def test_of_a_truncated_chunk_nothing_is_read(stored, kept):
    container, chunk = stored
    chunk.write_bytes(chunk.read_bytes()[: int(kept * chunk.stat().st_size)])
    with pytest.raises(VolumeError, match=chunk.name):
        read(container)
