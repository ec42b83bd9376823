"""All of a segmentation in one call: fragments, graph, agglomeration, relabelling."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid, run_blocks
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings, graph_options
from attacca.segmentation.fragments import FragmentBlocks
from attacca.segmentation.frame import triple
from attacca.segmentation.graph_blocks import GraphBlocks, load_graph
from attacca.segmentation.lookup import agglomerate
from attacca.segmentation.relabel import RelabelBlocks
from attacca.segmentation.threads import InThreads


def segment_volume(
    prediction: Any,
    output: Any,
    neighborhood: Sequence[Sequence[int]],
    fragment_settings: FragmentSettings,
    agglomeration_settings: AgglomerationSettings,
    workdir: str | Path,
    *,
    block_size: Sequence[int] | None = None,
    num_workers: int = 1,
    mask: Any = None,
) -> Any:
    """Segment a whole prediction.

    Args:
        prediction: affinities, channels first (or one channel without neighborhood, for connected
            components).
        output: writable uint64 array without channels; its ROI, inside the prediction's, is the volume.
        neighborhood: offset of each channel, in voxels; empty for a single channel that is no affinity.
        fragment_settings, agglomeration_settings: how.
        workdir: directory for fragments and graph; what an earlier call left there is replaced.
        block_size: world units; one chunk of the output by default.
        num_workers: threads.
        mask: voxels of value 0 stay 0.

    Returns:
        ``output``.

    Raises:
        BlocksFailedError: a block failed.
    """
    offsets = tuple(
        triple(offset) if len(offset) == 3 else tuple(int(o) for o in offset) for offset in neighborhood
    )
    size = Coordinate(block_size) if block_size is not None else Coordinate(output.chunk_size)
    fragments = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(Path(workdir) / "fragments.zarr", "s0"),
        axes=output.spatial_axes,
        roi=output.roi,
        num_channels=None,
        voxel_size=output.voxel_size,
        dtype=np.uint64,
        write_size=output.chunk_size,
        overwrite=True,
        unit=output.unit,
    )
    grid = BlockGrid.for_array(output, size)
    run_blocks(
        InThreads(FragmentBlocks(prediction, fragments, offsets, fragment_settings, mask), num_workers), grid
    )
    directory = Path(workdir) / "graph"
    run_blocks(
        InThreads(
            GraphBlocks(
                prediction,
                fragments,
                str(directory),
                offsets,
                **graph_options(fragment_settings, agglomeration_settings),
            ),
            num_workers,
        ),
        grid,
    )
    table = agglomerate(load_graph(directory, len(grid)), agglomeration_settings)
    path = Path(workdir) / "lookup.npy"
    table.save(path)
    run_blocks(InThreads(RelabelBlocks(fragments, output, str(path)), num_workers), grid)
    return output
