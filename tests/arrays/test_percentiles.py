"""Percentiles of images: those of NumPy, whatever the chunks, from a bounded number of voxels."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.arrays.percentiles import measure_percentiles
from attacca.config.intensity import MEASURED_PERCENTILES


def wrap(data: np.ndarray) -> NumpyArray:
    axes = ["c", "z", "y", "x"][4 - data.ndim :] if data.ndim == 4 else ["z", "y", "x"][3 - data.ndim :]
    dims = min(3, data.ndim)
    roi = Roi((-40, 8, 16)[:dims], Coordinate(data.shape[-dims:]) * 8)
    return NumpyArray.from_np_array(data, roi, Coordinate((8,) * dims), axes)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(70, 65, 3), (600, 520), (2, 70, 20, 20)])
def test_percentiles_are_those_of_all_voxels(dtype: str, shape: tuple[int, ...]) -> None:
    data = (np.random.default_rng(len(shape)).normal(size=shape) ** 3 * 9 + 20).clip(0, 120).astype(dtype)
    data = data - 50 if data.dtype.kind == "i" else data
    found = measure_percentiles(wrap(data))
    expected = np.percentile(data.astype(np.float64), MEASURED_PERCENTILES)
    assert list(found.values()) == pytest.approx(expected)
    assert (found["0"], found["100"]) == (data.min(), data.max())


def test_chunks_do_not_change_the_percentiles_of_a_sample(tmp_path) -> None:
    data = np.random.default_rng(0).integers(0, 4000, (130, 200, 140)).astype(np.uint16)
    found = []
    for number, size in enumerate([(32, 48, 130), (130, 64, 7)]):
        array = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(tmp_path / f"{number}.zarr", "raw"),
            ["z", "y", "x"],
            Roi((0, 0, 0), data.shape),
            None,
            Coordinate(1, 1, 1),
            data.dtype,
            write_size=Coordinate(size),
        )
        array[array.roi] = data
        found.append(measure_percentiles(array, largest=2**19))
    assert found[0] == found[1]
    whole = measure_percentiles(array)
    assert found[0] != whole
    assert list(found[0].values()) == pytest.approx(list(whole.values()), rel=0.05, abs=5)


def test_a_large_image_is_read_in_part(monkeypatch) -> None:
    array = wrap(np.zeros((256, 256, 64), np.uint8))
    read = []
    original = NumpyArray.__getitem__
    monkeypatch.setattr(NumpyArray, "__getitem__", lambda self, roi: read.append(roi) or original(self, roi))
    measure_percentiles(array, largest=2**20)
    assert len(set(map(str, read))) == len(read) == 4
    assert sum(np.prod(roi.shape / array.voxel_size) for roi in read) == 2**20
