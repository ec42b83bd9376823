"""Segmentations as HDF5 files for ilastik and CREMI."""

import json
from pathlib import Path

import h5py
import numpy as np

from attacca.export.id_numbers import IdNumbers
from attacca.export.labels import Labels

ILASTIK, CREMI = "exported_data", "volumes/labels/neuron_ids"
"""Names of the array in ilastik and in CREMI submissions."""

_SPACE = 2


def write_hdf5(path: Path, labels: Labels, numbers: IdNumbers) -> None:
    """Write a segmentation as one array with two names: ``exported_data`` and ``volumes/labels/neuron_ids``.

    The attributes are ``resolution`` and ``offset`` (z, y, x in nanometers) as CREMI reads them, and ``axistags`` as
    ilastik does. Memory: one block.

    Args:
        path: file to write.
        labels: the segmentation.
        numbers: conversion of the ids.
    """
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "0.2"
        chunk = tuple(min(64, n) for n in labels.shape)
        data = file.create_dataset(
            CREMI, labels.shape, numbers.dtype, chunks=chunk, compression="gzip", compression_opts=4
        )
        file[ILASTIK] = data
        data.attrs["resolution"] = np.array(labels.voxel_size)
        data.attrs["offset"] = np.array(labels.offset)
        tags = [
            {"key": axis, "typeFlags": _SPACE, "resolution": size, "description": ""}
            for axis, size in zip("zyx", labels.voxel_size)
        ]
        data.attrs["axistags"] = json.dumps({"axes": tags})
        # Boxes of whole chunks, so that no chunk is compressed twice.
        shape = [max(1, size // part) * part for size, part in zip(labels.block_shape, chunk)]
        for box in labels.divide(shape):
            data[box] = numbers.convert(labels.read(box))
