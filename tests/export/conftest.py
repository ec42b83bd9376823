"""Segmentations that the tests export."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.pyramid import build_pyramid


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., ZarrArray]:
    """A function that stores ids (z, y, x) as a segmentation with its scales, in blocks of 32 voxels."""

    def create(ids: np.ndarray, voxel_size=(40, 8, 8), offset=(80, 16, 32), unit="nanometer") -> ZarrArray:
        size = Coordinate(voxel_size)
        location = LocalArrayIdentifier(str(tmp_path / "run.zarr"), "labels/segmentation/s0")
        array = ZarrArray.create_from_array_identifier(
            location,
            ["z", "y", "x"][-ids.ndim :],
            Roi(offset, Coordinate(ids.shape) * size),
            None,
            size,
            ids.dtype,
            write_size=Coordinate((32,) * ids.ndim) * size,
            unit=unit,
        )
        array[array.roi] = ids
        build_pyramid(str(tmp_path / "run.zarr/labels/segmentation"), kind="labels")
        return array

    return create


@pytest.fixture
def ids() -> np.ndarray:
    """Boxes of ten voxels with random ids and background, uint64, shape (70, 40, 80)."""
    coarse = np.random.default_rng(3).integers(0, 9, (7, 4, 8), dtype=np.uint64)
    return np.kron(coarse, np.ones((10, 10, 10), np.uint64)) * np.uint64(1000)
