"""From affinities to objects, by mutex watershed in blocks."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import VolumeError
from attacca.post_processors.post_processor import (
    DEFAULT_BLOCK,
    PostProcessor,
    chunk_of,
    usable_workers,
)
from attacca.post_processors.watershed_post_processor_parameters import WatershedPostProcessorParameters
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.pipeline import segment_volume

BIASES = (0.1, 0.25, 0.5, 0.75, 0.9)


class WatershedPostProcessor(PostProcessor):
    """Segments affinities by mutex watershed in blocks with context, joined over the whole volume.

    Args:
        offsets: offset of each affinity channel, in voxels. Channels beyond them are ignored.

    Raises:
        ConfigurationError: the offsets have different numbers of axes.
    """

    def __init__(self, offsets: Sequence[Sequence[int]]) -> None:
        Offsets.create([list(offset) for offset in offsets])
        self.offsets = tuple(Coordinate(offset) for offset in offsets)

    def enumerate_parameters(self) -> Iterator[WatershedPostProcessorParameters]:
        """Five biases; everything else at its default."""
        for number, bias in enumerate(BIASES):
            yield WatershedPostProcessorParameters(id=number, bias=bias)

    def process(
        self,
        parameters: Any,
        output_array_identifier: LocalArrayIdentifier,
        num_workers: int = 16,
        block_size: Sequence[int] = DEFAULT_BLOCK,
        *,
        chunk_size: Sequence[int] | None = None,
    ) -> Array:
        """Segment the prediction; ids are uint64, 1, 2, ... and 0 for background.

        The result depends on the block size, in whose blocks the mutex watershed runs, but not on the number
        of workers.
        """
        prediction = self._prediction_for(output_array_identifier)
        offsets = parameters.offsets or self.offsets
        if (prediction.num_channels or 0) < len(offsets):
            raise VolumeError(
                f"{prediction}: found {prediction.num_channels or 'no'} channels, expected one for each of the "
                f"{len(offsets)} offsets"
            )
        sides = Coordinate((chunk_size or block_size)[-prediction.dims :]) * prediction.voxel_size
        chunk = Coordinate(
            min(c, -(-extent // size) * size)
            for c, extent, size in zip(chunk_of(prediction), prediction.roi.shape, prediction.voxel_size)
        )
        whole = Coordinate(-(-side // size) * size for side, size in zip(sides, chunk))
        output = ZarrArray.create_from_array_identifier(
            output_array_identifier,
            axes=prediction.spatial_axes,
            roi=prediction.roi,
            num_channels=None,
            voxel_size=prediction.voxel_size,
            dtype=np.uint64,
            write_size=chunk,
            overwrite=True,
            unit=prediction.unit,
        )
        context = Coordinate(parameters.context[-prediction.dims :])
        fragments = FragmentSettings(
            chain="mutex_watershed",
            bias=_plain(parameters.bias),
            strides=_plain(parameters.strides),
            sigma=parameters.sigma,
            min_fragment_size=0,
            min_evidence=0.0,
            fill_background=False,
            quantised=False,
            cell_size=[int(side // size) for side, size in zip(whole, prediction.voxel_size)],
            context=[int(-(-extent // size)) for extent, size in zip(context, prediction.voxel_size)],
        )
        agglomeration = AgglomerationSettings(
            method="none" if parameters.threshold is None else "mean_affinity",
            cell_voxels=int(np.prod(whole / prediction.voxel_size)),
            threshold=0.5 if parameters.threshold is None else parameters.threshold,
            min_size=parameters.min_size,
        )
        workdir = mkdtemp(prefix=".watershed-", dir=_parent(output_array_identifier))
        try:
            return segment_volume(
                prediction,
                output,
                offsets,
                fragments,
                agglomeration,
                workdir,
                block_size=whole,
                num_workers=usable_workers(num_workers),
            )
        finally:
            shutil.rmtree(workdir, ignore_errors=True)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _parent(identifier: LocalArrayIdentifier) -> Path | None:
    """A directory on the disk of the output, or None for the system's temporary one."""
    container = str(identifier.container)
    return None if "://" in container else Path(container).parent
