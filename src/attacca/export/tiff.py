"""Segmentations as TIFF stacks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from attacca.export.id_numbers import IdNumbers
from attacca.export.labels import Labels

_SLAB_BYTES = 1 << 28
_BIG_TIFF_BYTES = 3 << 30


def write_tiff(path: Path, labels: Labels, numbers: IdNumbers) -> None:
    """Write a segmentation as one TIFF file with a page per section.

    Pages are compressed without loss (deflate). The description has the keys by which ImageJ knows the number of
    sections and the voxel size in nanometers. Memory: some sections at a time.

    Args:
        path: file to write.
        labels: the segmentation.
        numbers: conversion of the ids.
    """
    depth, height, width = labels.shape
    z, y, x = labels.voxel_size
    description = "\n".join(
        [
            "ImageJ=1.54f",
            f"images={depth}",
            f"slices={depth}",
            "unit=nm",
            f"spacing={z:.12g}",
            "loop=false",
            "",
        ]
    )
    size = depth * height * width * numbers.dtype.itemsize
    with tifffile.TiffWriter(path, bigtiff=size > _BIG_TIFF_BYTES) as writer:
        for index, section in enumerate(_read_sections(labels)):
            writer.write(
                numbers.convert(section),
                photometric="minisblack",
                compression="zlib",
                rowsperstrip=max(1, min(height, (1 << 18) // max(1, width))),
                # Voxels per nanometer.
                resolution=(1 / x, 1 / y),
                resolutionunit="NONE",
                description=description if index == 0 else None,
                contiguous=False,
                metadata=None,
            )


def _read_sections(labels: Labels) -> Iterator[np.ndarray]:
    _, height, width = labels.shape
    thickness = max(1, min(labels.block_shape[0], _SLAB_BYTES // (height * width * 8)))
    for box in labels.divide((thickness, height, width)):
        yield from labels.read(box)
