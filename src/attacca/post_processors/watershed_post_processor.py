"""The segmentation pipeline with the interface of a post-processor."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.arrays.identifier import is_url
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import VolumeError
from attacca.post_processors.post_processor import PostProcessor, round_up
from attacca.post_processors.watershed_post_processor_parameters import WatershedPostProcessorParameters
from attacca.segmentation.inputs import find_chunk_size
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.pipeline import segment_volume

BIASES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Biases that ``enumerate_parameters`` returns."""


class WatershedPostProcessor(PostProcessor[WatershedPostProcessorParameters]):
    """Segments affinities by mutex watershed in blocks with context, joined over the whole volume.

    See ``attacca.segmentation.pipeline.segment_volume``. Ids are uint64, 1, 2, ... and 0 for background. The
    result depends on the block size, because blocks are the cells of the mutex watershed, but not on the
    number of workers.

    Args:
        offsets: offset of each affinity channel, in voxels. Channels beyond them are ignored.

    Raises:
        ConfigurationError: the offsets have different numbers of axes.

    Two objects in a row of twelve voxels, with a lower affinity between them:

    >>> from tempfile import TemporaryDirectory
    >>> temporary = TemporaryDirectory()
    >>> from funlib.geometry import Roi
    >>> directory, roi = Path(temporary.name), Roi((0, 0, 0), (1, 1, 12))
    >>> prediction = LocalArrayIdentifier(directory / "prediction.zarr", "s0")
    >>> array = ZarrArray.create_from_array_identifier(
    ...     prediction, ["c", "z", "y", "x"], roi, 1, (1, 1, 1), np.float32)
    >>> array[roi] = np.where(np.arange(12) == 5, 0.4, 0.8).reshape(1, 1, 1, 12)
    >>> post_processor = WatershedPostProcessor([[0, 0, 1]])
    >>> post_processor.set_prediction(prediction)
    >>> output = LocalArrayIdentifier(directory / "segments.zarr", "s0")
    >>> for bias in (0.5, 0.3):
    ...     parameters = WatershedPostProcessorParameters(bias=bias)
    ...     segments = post_processor.process(parameters, output, num_workers=1)
    ...     print(segments[roi].ravel())
    [1 1 1 1 1 1 2 2 2 2 2 2]
    [1 1 1 1 1 1 1 1 1 1 1 1]
    """

    def __init__(self, offsets: Sequence[Sequence[int]]) -> None:
        Offsets.create([list(offset) for offset in offsets])
        self.offsets = tuple(Coordinate(offset) for offset in offsets)

    def enumerate_parameters(self) -> Iterator[WatershedPostProcessorParameters]:
        """Return five biases, with the default of everything else; ids count from 0."""
        for number, bias in enumerate(BIASES):
            yield WatershedPostProcessorParameters(id=number, bias=bias)

    def write_output(
        self,
        parameters: WatershedPostProcessorParameters,
        output: LocalArrayIdentifier,
        num_workers: int,
        block_size: Coordinate,
    ) -> Array:
        """Run the segmentation pipeline, with a temporary directory beside the output.

        Raises:
            VolumeError: the prediction has fewer channels than offsets.
        """
        prediction = self.require_prediction()
        offsets = parameters.offsets or self.offsets
        if (prediction.num_channels or 0) < len(offsets):
            raise VolumeError(
                f"{prediction}: found {prediction.num_channels or 'no'} channels, expected one for each of "
                f"the {len(offsets)} offsets"
            )
        voxel_size = prediction.voxel_size
        extent = round_up(prediction.roi.shape, voxel_size)
        chunk = Coordinate(map(min, find_chunk_size(prediction), extent))
        block = round_up(Coordinate(block_size[-prediction.dims :]) * voxel_size, chunk)
        segments = ZarrArray.create_from_array_identifier(
            output,
            axes=prediction.spatial_axes,
            roi=prediction.roi,
            num_channels=None,
            voxel_size=voxel_size,
            dtype=np.uint64,
            write_size=block,
            chunk_size=chunk,
            overwrite=True,
            unit=prediction.unit,
        )
        workdir = mkdtemp(prefix=".watershed-", dir=_parent_directory(output))
        try:
            return segment_volume(
                prediction,
                segments,
                offsets,
                _fragment_settings(parameters, block, voxel_size),
                _agglomeration_settings(parameters, block, voxel_size),
                workdir,
                block_size=block,
                num_workers=num_workers,
            )
        finally:
            shutil.rmtree(workdir, ignore_errors=True)


def _fragment_settings(
    parameters: WatershedPostProcessorParameters, block: Coordinate, voxel_size: Coordinate
) -> FragmentSettings:
    """Return settings that use every edge, in cells of one block."""
    context = Coordinate(parameters.context[-len(voxel_size) :])
    return FragmentSettings(
        chain="mutex_watershed",
        bias=_to_lists(parameters.bias),
        strides=_to_lists(parameters.strides),
        sigma=parameters.sigma,
        min_fragment_size=0,
        min_evidence=0.0,
        fill_background=False,
        quantised=False,
        cell_size=[int(size) for size in block / voxel_size],
        context=[int(size) for size in round_up(context, voxel_size) / voxel_size],
    )


def _agglomeration_settings(
    parameters: WatershedPostProcessorParameters, block: Coordinate, voxel_size: Coordinate
) -> AgglomerationSettings:
    """Return settings that agglomerate above the threshold, or join fragments across faces only."""
    return AgglomerationSettings(
        method="none" if parameters.threshold is None else "mean_affinity",
        cell_voxels=int(np.prod(block / voxel_size)),
        threshold=0.5 if parameters.threshold is None else parameters.threshold,
        min_size=parameters.min_size,
    )


def _to_lists(value: Any) -> Any:
    return [_to_lists(item) for item in value] if isinstance(value, tuple | list) else value


def _parent_directory(identifier: LocalArrayIdentifier) -> Path | None:
    """Return a directory on the disk of the output, or None for the system's temporary directory."""
    container = str(identifier.container)
    return None if is_url(container) else Path(container).parent
