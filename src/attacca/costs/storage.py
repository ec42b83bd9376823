"""Bytes and files that stages store."""

import math
from typing import Protocol

from attacca.config.run import Configuration
from attacca.costs.extents import Extent
from attacca.costs.fragment_count import fragments_in
from attacca.jobs.stage import ProductSizes, StageInstance

_PYRAMID = {2: 1.34, 3: 1.15}


class StoredNetwork(Protocol):
    """Sizes of a network that decide how much is stored."""

    @property
    def channels(self) -> int: ...

    @property
    def parameters(self) -> int: ...


def stage_storage(
    configuration: Configuration,
    instance: StageInstance,
    extent: Extent | None,
    network: StoredNetwork | None,
    chunk: tuple[int, ...],
    blocks: int,
) -> tuple[float, int]:
    """Return the bytes and the number of files that a stage stores.

    Args:
        configuration: the configuration.
        instance: the stage.
        extent: extent of its volume, if it has one.
        network: network of its run, if it has one.
        chunk: voxels of a stored chunk.
        blocks: blocks of the stage.
    """
    run = instance.run
    network_parameters = 0 if network is None else network.parameters
    if extent is None:
        sizes = ProductSizes(configuration, run, network_parameters=network_parameters)
    else:
        sizes = ProductSizes(
            configuration,
            run,
            voxels=extent.voxels,
            chunks=math.prod(math.ceil(size / edge) for size, edge in zip(extent.shape, chunk)),
            blocks=blocks,
            fragments=fragments_in(configuration, run, extent.voxels) if run else 0.0,
            pyramid=_PYRAMID[len(extent.shape)],
            channels=1 if network is None else network.channels,
            raw_channels=extent.channels,
            raw_bytes=extent.bytes_per_voxel,
            has_labels=extent.has_labels,
            is_copied=extent.copied,
            network_parameters=network_parameters,
        )
    size, files = instance.stage.disk(sizes)
    return size, math.ceil(files)
