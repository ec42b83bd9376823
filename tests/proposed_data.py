"""Files of several kinds of data for ``attacca init``: tissue of Attacca, and nuclei of a small generator."""

from pathlib import Path

import h5py
import numpy as np
import tifffile
from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter, minimum_filter, zoom

from attacca.config.volumes import VolumeConfig
from attacca.volumes import import_block, plan_volume


def make_tissue(shape, voxel_size, labels, seed=1, diameter=145.0):
    """Return raw, uint8, and labels of synthetic tissue."""
    synthetic = {"shape": list(shape), "seed": seed, "labels": labels, "neurite_diameter": diameter}
    config = VolumeConfig.model_validate({"synthetic": synthetic, "voxel_size": list(voxel_size)})
    plan = plan_volume(config)
    return tuple(import_block(config, plan, plan.arrays[name], plan.roi) for name in ("raw", "labels"))


def make_nuclei(shape, radius, count, seed=1, gap=1.0):
    """Return raw, uint8, and labels, uint16, of textured balls in a bright, textured background.

    Args:
        shape: voxels.
        radius: mean radius of the balls in voxels along each axis.
        count: number of balls; fewer are placed in a volume that they fill.
        seed: of all random numbers.
        gap: smallest gap of two balls in units of their radius; below 0 they touch.
    """
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    coordinates = np.indices(shape, dtype=np.float32)
    placed: list[tuple[np.ndarray, float]] = []
    for _ in range(40 * count):
        center, size = random.uniform(0, shape), random.uniform(0.75, 1.25)
        near = (
            np.linalg.norm((center - other) / radius) < size + other_size + gap
            for other, other_size in placed
        )
        if any(near):
            continue
        placed.append((center, size))
        distance = sum(((x - c) / r) ** 2 for x, c, r in zip(coordinates, center, radius, strict=True))
        labels[(distance < size**2) & (labels == 0)] = len(placed)
        if len(placed) == count:
            break
    texture = zoom(random.normal(size=[-(-n // 6) for n in shape]), 6, order=1)[tuple(map(slice, shape))]
    raw = 170 + 18 * texture - 45 * (labels > 0) + random.normal(0, 14, shape)
    # Dark spots in the background, such as other organelles, have the gray values of nuclei.
    spots = gaussian_filter(random.normal(size=shape), 1.5)
    raw -= 50 * (spots > 2.2 * spots.std())
    return gaussian_filter(raw, 0.6).clip(0, 255).astype(np.uint8), labels


def make_cells(shape, seed=1, voxels=1500):
    """Return raw, uint8, and labels, uint16, of dense cells with wide dark borders, which a tiny network learns.

    Args:
        shape: voxels.
        seed: of all random numbers.
        voxels: mean size of a cell.
    """
    random = np.random.default_rng(seed)
    centers = np.zeros(shape, np.uint16)
    corners = random.integers(0, shape, (int(np.prod(shape)) // voxels, len(shape)))
    centers[tuple(corners.T)] = np.arange(1, len(corners) + 1)
    nearest = distance_transform_edt(centers == 0, return_distances=False, return_indices=True)
    labels = centers[tuple(nearest)]
    border = maximum_filter(labels, 3) != minimum_filter(labels, 3)
    raw = np.where(border, 60, 180) + random.normal(0, 10, shape)
    return raw.clip(0, 255).astype(np.uint8), labels


def write_tiff(path: Path, data, voxel_size) -> Path:
    """Write a TIFF of ImageJ with its voxel size in nanometers."""
    data = data.astype(np.uint16) if data.dtype not in (np.uint8, np.uint16) else data
    z, y, x = (1, *voxel_size) if len(voxel_size) == 2 else voxel_size
    tifffile.imwrite(
        path,
        data,
        imagej=True,
        resolution=(1e3 / x, 1e3 / y),
        metadata={"spacing": z / 1e3, "unit": "um", "axes": "ZYX" if data.ndim == 3 else "YX"},
    )
    return path


def write_hdf5(path: Path, raw, labels, voxel_size) -> Path:
    """Write an HDF5 file with raw and labels."""
    with h5py.File(path, "w") as file:
        for name, data in (("volumes/raw", raw), ("volumes/labels/neuron_ids", labels)):
            file[name] = data
            file[name].attrs["resolution"] = voxel_size
    return path


def write_kind(directory: Path, kind: str, seed: int = 1) -> str:
    """Write one labeled volume of a kind, and return the argument of ``attacca init``.

    Kinds: ``dense isotropic``, ``dense anisotropic``, ``membranes in 2D``, ``sparse nuclei``, ``mitochondria``,
    ``semantic classes``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if kind == "dense isotropic":
        raw, labels = make_tissue((160, 96, 96), (8, 8, 8), "neurites", seed)
        return str(write_hdf5(directory / "cube.h5", raw, labels, (8, 8, 8)))
    if kind == "dense anisotropic":
        raw, labels = make_tissue((20, 384, 192), (40, 8, 8), "neurites", seed, diameter=250)
        return str(write_hdf5(directory / "sections.h5", raw, labels, (40, 8, 8)))
    if kind == "membranes in 2D":
        raw, classes = make_tissue((512, 512), (4, 4), "classes", seed)
        raw, labels, size = raw, np.where(classes == 1, 0, 255).astype(np.uint8), (4, 4)
    elif kind == "sparse nuclei":
        raw, labels = make_nuclei((112, 96, 96), (9, 9, 9), 60, seed)
        size = (100, 100, 100)
    elif kind == "mitochondria":
        raw, labels = make_tissue((160, 96, 96), (16, 16, 16), "mitochondria", seed, diameter=290)
        labels, size = (labels > 0).astype(np.uint8), (16, 16, 16)
    elif kind == "semantic classes":
        raw, labels = make_tissue((160, 96, 96), (16, 16, 16), "classes", seed, diameter=290)
        size = (16, 16, 16)
    else:
        raise ValueError(f"found the kind {kind!r}")
    image = write_tiff(directory / "cube_raw.tif", raw, size)
    return f"{image}:{write_tiff(directory / 'cube_labels.tif', labels, size)}"


KINDS = (
    "dense isotropic",
    "dense anisotropic",
    "membranes in 2D",
    "sparse nuclei",
    "mitochondria",
    "semantic classes",
)
