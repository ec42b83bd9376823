"""Direct access to local arrays gives the bytes, voxels and errors of zarr's own way."""

import tempfile
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.storage import AtomicLocalStore

EDGES = st.tuples(*[st.integers(1, 9)] * 3)


def create(directory, shape, block, chunk, dtype):
    return ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(directory, "s0"), "zyx", Roi((0, 0, 0), shape), None, (1, 1, 1), dtype,
        write_size=block, chunk_size=chunk,
    )  # fmt: skip


def by_zarr():
    return mock.patch("attacca.arrays.stored_voxels.access_directly", lambda array: array)


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in Path(directory).rglob("*")
        if path.is_file()
    }


@given(
    shape=EDGES,
    block=EDGES,
    chunk=EDGES,
    dtype=st.sampled_from(["u1", "u8", "f4"]),
    zarr_format=st.sampled_from(["2", "3"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_bytes_and_voxels_are_those_of_zarr(shape, block, chunk, dtype, zarr_format, seed):
    data = np.random.default_rng(seed).integers(0, 3, shape).astype(dtype)
    with (
        tempfile.TemporaryDirectory() as directory,
        mock.patch.dict("os.environ", {"ATTACCA_ZARR_FORMAT": zarr_format}),
    ):
        direct, plain = f"{directory}/direct", f"{directory}/plain"
        for path in (direct, plain):
            create(path, shape, block, chunk, dtype)
        array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(direct, "s0"), mode="a")
        array[array.roi] = data
        with by_zarr():
            other = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(plain, "s0"), mode="a")
            other[other.roi] = data
        assert contents(direct) == contents(plain)
        array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(plain, "s0"))
        begin = Coordinate(edge // 3 for edge in shape)
        window = Roi(begin, Coordinate(shape) - begin)
        assert np.array_equal(array[window], data[begin[0] :, begin[1] :, begin[2] :])


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """An array of two shards with eight chunks each."""
    directory = tmp_path_factory.mktemp("shards")
    array = create(directory, (16, 8, 8), (8, 8, 8), (4, 4, 4), "u2")
    array[array.roi] = np.random.default_rng(0).integers(0, 2**16, (16, 8, 8), dtype=np.uint16)
    return directory


@given(place=st.floats(0, 1), is_cut=st.booleans(), size=st.sampled_from([3, 5, 8]))
@settings(max_examples=25, deadline=None)
def test_damage_is_reported_as_by_zarr(shards, place, is_cut, size):
    path = shards / "s0/c/1/0/0"
    sound = path.read_bytes()
    position = min(int(place * len(sound)), len(sound) - 1)
    damaged = bytearray(sound[:position] if is_cut else sound)
    if not is_cut:
        damaged[position] ^= 16
    path.write_bytes(damaged)
    try:
        found = []
        for way in (mock.patch.dict("os.environ"), by_zarr()):
            with way:
                array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(shards, "s0"))
                try:
                    found.append(array[Roi((8, 0, 0), (size, size, size))].tolist())
                except Exception as error:
                    found.append((type(error), str(error)))
        assert found[0] == found[1]
    finally:
        path.write_bytes(sound)


def test_the_calling_thread_reads_and_writes(tmp_path, monkeypatch):
    threads = set()
    for name in ("get_sync", "set_sync"):
        call = getattr(AtomicLocalStore, name)

        def record(self, *args, call=call, **options):
            threads.add(threading.get_ident())
            return call(self, *args, **options)

        monkeypatch.setattr(AtomicLocalStore, name, record)
    array = create(tmp_path, (8, 8, 8), (8, 8, 8), (4, 4, 4), "u1")
    threads.clear()
    array[array.roi] = 7
    assert array[Roi((0, 0, 0), (3, 3, 3))].tolist() == np.full((3, 3, 3), 7).tolist()
    assert threads == {threading.get_ident()}
