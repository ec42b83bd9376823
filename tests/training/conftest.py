"""A small volume, and jobs that learn from it in seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from scipy import ndimage

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.architecture import UNetConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.config.training import TrainingConfig
from attacca.training import TrainingJob, TrainingVolume

NEIGHBORHOOD = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -3]]


def store_array(
    path: Path, name: str, data: np.ndarray, offset: tuple[int, ...], voxel_size: tuple[int, ...]
):
    axes = ["c"] * (data.ndim - len(voxel_size)) + ["z", "y", "x"][3 - len(voxel_size) :]
    size = Coordinate(voxel_size)
    roi = Roi(offset, Coordinate(data.shape[data.ndim - size.dims :]) * size)
    identifier = LocalArrayIdentifier(path, name)
    channels = data.shape[0] if "c" in axes else None
    array = ZarrArray.create_from_array_identifier(
        identifier, axes, roi, channels, size, data.dtype, write_size=size * 16, overwrite=True
    )
    array[roi] = data
    return identifier


def cells(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Voronoi cells, and an image of them with dark borders."""
    random = np.random.default_rng(seed)
    seeds = random.integers(0, shape, (max(6, int(np.prod(shape)) // 1200), len(shape)))
    marks = np.zeros(shape, dtype=np.uint32)
    marks[tuple(seeds.T)] = np.arange(1, len(seeds) + 1)
    nearest = ndimage.distance_transform_edt(marks == 0, return_distances=False, return_indices=True)
    labels = marks[tuple(nearest)]
    border = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    raw = np.where(border, 60, 180) + random.normal(0, 10, shape)
    return np.clip(raw, 0, 255).astype(np.uint8), labels


@pytest.fixture
def store() -> Callable[..., LocalArrayIdentifier]:
    """``store(path, name, data, offset, voxel_size)``: an array on disk."""
    return store_array


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainingVolume]:
    """``volume(name, seed=..., shape=..., ...)``: a stored volume."""
    root = tmp_path_factory.mktemp("volumes")

    def make(
        name: str = "cells",
        seed: int = 1,
        shape: tuple[int, ...] = (32, 40, 40),
        offset: tuple[int, ...] | None = None,
        voxel_size: tuple[int, ...] | None = None,
        **arguments: Any,
    ) -> TrainingVolume:
        voxel_size = voxel_size or (8,) * len(shape)
        offset = offset or (0,) * len(shape)
        path = root / f"{name}_{seed}.zarr"
        raw, labels = cells(shape, seed)
        return TrainingVolume(
            name,
            store_array(path, "raw", raw, offset, voxel_size),
            store_array(path, "labels", labels, offset, voxel_size),
            **arguments,
        )

    return make


@pytest.fixture
def job(volume: Callable[..., TrainingVolume], tmp_path: Path) -> Callable[..., TrainingJob]:
    """``job(iterations=..., ...)``: keyword arguments are those of the training section, or of the job."""

    def make(directory: Path | None = None, **settings: Any) -> TrainingJob:
        own = ("task", "architecture", "volumes", "validation", "seed", "class_counts", "higher_is_better")
        parts = {key: settings.pop(key) for key in (*own, "validate_segmentation") if key in settings}
        training = {
            "iterations": 6,
            "torch_threads": 1,
            "loader_workers": 0,
            "checkpoint": {"interval": 3},
            "validation": settings.pop("validation_section", {"crops": 2}),
            **settings,
        }
        defaults: dict[str, Any] = {
            "task": AffinitiesTaskConfig(neighborhood=NEIGHBORHOOD),
            "architecture": UNetConfig(
                input_shape=(16, 16, 16), num_fmaps=2, downsample_factors=((2, 2, 2),)
            ),
            "volumes": (volume(),),
            "seed": 7,
        }
        return TrainingJob(
            directory=directory or tmp_path / "training",
            training=TrainingConfig(**training),
            **{**defaults, **parts},
        )

    return make
