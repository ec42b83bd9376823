"""All steps of a segmentation in one call.

1. Fragments (``fragment_blocks``).
2. Region adjacency graph (``graph_blocks``).
3. Agglomeration of the whole graph (``agglomerate``).
4. Relabeling (``relabel_blocks``).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid, run_blocks
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.fragment_blocks import FragmentBlocks
from attacca.segmentation.graph import Graph
from attacca.segmentation.graph_blocks import GraphBlocks
from attacca.segmentation.graph_tables import load_graph
from attacca.segmentation.relabel_blocks import RelabelBlocks
from attacca.segmentation.threaded_blocks import ThreadedBlocks


def segment_volume(
    prediction: Array,
    output: ZarrArray,
    neighborhood: Sequence[Sequence[int]],
    fragment_settings: FragmentSettings,
    agglomeration_settings: AgglomerationSettings,
    workdir: str | Path,
    *,
    block_size: Sequence[int] | None = None,
    num_workers: int = 1,
    mask: Array | None = None,
) -> ZarrArray:
    """Segment a prediction of any size.

    Args:
        prediction: affinities, channels first (or one channel without neighborhood, for connected
            components).
        output: writable uint64 array without channels; its ROI, inside the prediction's, is the volume.
        neighborhood: offset of each channel, in voxels; empty for a single channel that is not an affinity.
        fragment_settings: method and parameters of the fragments.
        agglomeration_settings: method, thresholds and filters of the agglomeration.
        workdir: directory for fragments and graph; files of an earlier call are replaced.
        block_size: world units; one write block of the output by default.
        num_workers: threads.
        mask: voxels of value 0 stay 0.

    Returns:
        ``output``, with segments 1, 2, ... and 0 for background.

    Raises:
        BlocksFailedError: a block failed.

    Two bright objects in a volume of one channel, in blocks of four voxels:

    >>> from tempfile import TemporaryDirectory
    >>> temporary = TemporaryDirectory()
    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> values = np.zeros((1, 8, 8, 8), np.float32)
    >>> values[0, 1, 1, :], values[0, 5, 5, 2:7] = 0.9, 0.9
    >>> roi, voxel_size = Roi((0, 0, 0), (8, 8, 8)), Coordinate((1, 1, 1))
    >>> array = NumpyArray.from_np_array(values, roi, voxel_size, ["c", "z", "y", "x"])
    >>> directory = Path(temporary.name)
    >>> output = ZarrArray.create_from_array_identifier(
    ...     LocalArrayIdentifier(directory / "segments.zarr", "s0"), ["z", "y", "x"], roi, None, voxel_size,
    ...     np.uint64, write_size=(4, 4, 4))
    >>> fragments = FragmentSettings(chain="connected_components", threshold=0.5)
    >>> segments = segment_volume(
    ...     array, output, (), fragments, AgglomerationSettings(method="contact"), directory / "work")
    >>> np.unique(segments[roi], return_counts=True)[1].tolist()
    [499, 8, 5]
    """
    directory = Path(workdir)
    fragments = create_fragment_array(directory, output, output.chunk_size)
    grid = BlockGrid.for_array(output, None if block_size is None else Coordinate(block_size))
    graph = compute_graph(
        prediction,
        fragments,
        neighborhood,
        fragment_settings,
        agglomeration_settings,
        directory / "graph",
        grid,
        num_workers=num_workers,
        mask=mask,
    )
    table = agglomerate(graph, agglomeration_settings)
    run_blocks(ThreadedBlocks(RelabelBlocks(fragments, output, table), num_workers), grid)
    return output


def create_fragment_array(directory: Path, template: Array, write_size: Coordinate) -> ZarrArray:
    """Create the array of fragments below ``directory``, and replace an earlier one.

    Args:
        directory: directory of the container.
        template: array whose axes, ROI, voxel size and unit the fragments get.
        write_size: size of a block that is written at once, in world units.

    >>> from tempfile import mkdtemp
    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> template = NumpyArray.from_np_array(
    ...     np.zeros((1, 4, 4)), Roi((0, 0), (8, 8)), Coordinate(2, 2), ["c", "y", "x"])
    >>> create_fragment_array(Path(mkdtemp()), template, Coordinate(4, 4)).roi.shape
    (8, 8)
    """
    return ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(directory / "fragments.zarr", "s0"),
        axes=template.spatial_axes,
        roi=template.roi,
        num_channels=None,
        voxel_size=template.voxel_size,
        dtype=np.uint64,
        write_size=write_size,
        overwrite=True,
        unit=template.unit,
    )


def compute_graph(
    prediction: Array,
    fragments: ZarrArray,
    neighborhood: Sequence[Sequence[int]],
    fragment_settings: FragmentSettings,
    agglomeration_settings: AgglomerationSettings,
    directory: Path,
    grid: BlockGrid,
    *,
    num_workers: int = 1,
    mask: Array | None = None,
) -> Graph:
    """Run the first two steps: write the fragments and return their graph.

    Args:
        prediction: affinities, as for ``segment_volume``.
        fragments: writable array of fragments.
        neighborhood: offset of each channel, in voxels.
        fragment_settings: method and parameters of the fragments.
        agglomeration_settings: its method decides which affinities the graph counts.
        directory: directory of the graph's tables.
        grid: blocks over ``fragments``.
        num_workers: threads.
        mask: voxels of value 0 stay 0.

    A row of four voxels with an affinity of 0 in the middle:

    >>> from tempfile import mkdtemp
    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> directory, axes = Path(mkdtemp()), ["c", "z", "y", "x"]
    >>> prediction = NumpyArray.from_np_array(
    ...     np.array([[[[255, 0, 255, 0]]]], np.uint8), Roi((0, 0, 0), (1, 1, 4)), Coordinate(1, 1, 1), axes)
    >>> fragments = create_fragment_array(directory, prediction, Coordinate(1, 1, 4))
    >>> graph = compute_graph(
    ...     prediction, fragments, [[0, 0, 1]], FragmentSettings(chain="connected_components"),
    ...     AgglomerationSettings(), directory / "graph", BlockGrid.for_array(fragments))
    >>> graph.ids.tolist(), graph.sizes.tolist()
    ([1, 3], [2, 2])
    """
    offsets = tuple(tuple(int(step) for step in offset) for offset in neighborhood)
    write_fragments = FragmentBlocks(prediction, fragments, offsets, fragment_settings, mask)
    run_blocks(ThreadedBlocks(write_fragments, num_workers), grid)
    count_graph = GraphBlocks(
        prediction,
        fragments,
        str(directory),
        offsets,
        agglomeration_settings.needs_long_range,
        fragment_settings.graph_sigma,
    )
    run_blocks(ThreadedBlocks(count_graph, num_workers), grid)
    return load_graph(directory, len(grid))
