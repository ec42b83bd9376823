"""Segments do not depend on blocks, their order, workers, shards, or kills."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastremap
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.blockwise import BlockGrid, Ledger, run_blocks
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import BlocksFailedError, ConfigurationError, VolumeError
from attacca.evaluators.contingency import contingency_table
from attacca.evaluators.instance_scores import InstanceConvention, voi_from_table
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.block_graph import count_block_graph
from attacca.segmentation.box import Box
from attacca.segmentation.components import label_components
from attacca.segmentation.fragment_blocks import FragmentBlocks
from attacca.segmentation.fragments import fix_cell_size, make_fragments
from attacca.segmentation.frame import Frame
from attacca.segmentation.graph_tables import join_tables
from attacca.segmentation.inputs import read_affinities
from attacca.segmentation.look_up_table import relabel
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.pipeline import segment_volume
from attacca.segmentation.seeded_watershed import seeded_watershed

NEIGHBORHOOD = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0), (0, 3, 0), (0, 0, 3))
METHODS = [
    FragmentSettings(chain="seeded", cell_size=[7, 9, 8], context=[5, 5, 5], window=2, max_distance=3),
    FragmentSettings(
        chain="mutex_watershed", cell_size=[7, 9, 8], context=[3, 3, 3], bias=[0.3, 0.7], strides=2
    ),
    FragmentSettings(chain="connected_components", threshold=0.6),
]


def fragments_in_blocks(
    affinities: np.ndarray,
    block: tuple[int, ...],
    chosen: FragmentSettings,
    mask: np.ndarray | None = None,
    offsets: tuple[tuple[int, ...], ...] = NEIGHBORHOOD,
) -> np.ndarray:
    """Make the fragments of a volume block by block, last block first."""
    shape = affinities.shape[1:]
    frame = Frame(Roi((30, 20, 10), Coordinate(shape) * 10), Coordinate((10, 10, 10)))

    def read(box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        cut = box.slices((0, 0, 0))
        return affinities[(slice(None), *cut)], None if mask is None else mask[cut]

    result = np.zeros(shape, np.uint64)
    corners = list(np.ndindex(*[-(-n // b) for n, b in zip(shape, block)]))
    for corner in reversed(corners):
        begin = np.multiply(corner, block)
        box = Box(tuple(begin.tolist()), tuple(np.minimum(begin + block, shape).tolist()))
        result[box.slices((0, 0, 0))] = make_fragments(read, frame, box, offsets, chosen)
    return result


def segments_of(
    fragments: np.ndarray,
    affinities: np.ndarray,
    chosen: FragmentSettings,
    offsets: tuple[tuple[int, ...], ...] = NEIGHBORHOOD,
    threshold: float = 0.6,
) -> np.ndarray:
    """Agglomerate fragments that were made with ``chosen``."""
    graph = join_tables(
        *count_block_graph(fragments, affinities, Offsets.create(offsets), Box((0, 0, 0), fragments.shape))
    )
    contact = chosen.chain == "connected_components"
    agglomeration = AgglomerationSettings(
        method="contact" if contact else "mean_affinity", threshold=threshold
    )
    return relabel(fragments, agglomerate(graph, agglomeration))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.tuples(*[st.integers(5, 20)] * 3),
    st.tuples(*[st.integers(3, 20)] * 3),
    st.integers(0, 5),
    st.booleans(),
)
@pytest.mark.parametrize("chosen", METHODS, ids=lambda chosen: chosen.chain)
def test_any_grid_of_blocks_gives_the_segments_of_one_block(
    noisy: Callable[..., np.ndarray],
    chosen: FragmentSettings,
    shape: tuple[int, ...],
    block: tuple[int, ...],
    seed: int,
    masked: bool,
) -> None:
    affinities = noisy(shape, seed)
    mask = np.random.default_rng(seed).random(shape) < 0.9 if masked else None
    blocks = fragments_in_blocks(affinities, block, chosen, mask)
    whole = fragments_in_blocks(affinities, shape, chosen, mask)
    if chosen.chain != "connected_components":
        assert np.array_equal(blocks, whole)
    found, expected = segments_of(blocks, affinities, chosen), segments_of(whole, affinities, chosen)
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert len(np.unique(found)) == pairs.shape[1] == len(np.unique(expected))
    if mask is not None:
        assert not found[~mask].any()


def test_connected_components_equal_those_of_the_whole_volume(
    noisy: Callable[..., np.ndarray], same_partition: Callable[..., bool]
) -> None:
    affinities = noisy((15, 17, 16), 4)
    chosen = METHODS[2]
    offsets = Offsets.create(NEIGHBORHOOD)
    whole, _ = label_components(affinities, offsets, 0.6, Box((0, 0, 0), (15, 17, 16)))
    blocks = segments_of(fragments_in_blocks(affinities, (4, 6, 5), chosen), affinities, chosen)
    assert same_partition(blocks, whole)


def test_cells_have_nearly_the_fragments_of_the_whole_volume(noisy: Callable[..., np.ndarray]) -> None:
    affinities = noisy((20, 40, 40), 7)
    chosen = FragmentSettings(chain="seeded", cell_size=[20, 20, 20])
    cells = fragments_in_blocks(affinities, (20, 40, 40), chosen)
    labels, seeds = seeded_watershed(
        affinities, Offsets.create(NEIGHBORHOOD), grow_above=chosen.background_below, origin=(3, 2, 1)
    )
    whole = np.concatenate([[0], seeds + 1])[labels]
    assert (cells != whole).mean() < 0.01


def test_ids_stay_unique_with_voxels_of_size_one(noisy: Callable[..., np.ndarray]) -> None:
    affinities = noisy((12, 12, 12), 1)
    chosen = METHODS[1].model_copy(update={"cell_size": [4, 4, 4], "min_fragment_size": 0})
    fragments = fragments_in_blocks(affinities, (4, 4, 4), chosen)
    for name in np.unique(fragments[fragments > 0]):
        cells = np.argwhere(fragments == name) // 4
        assert (cells == cells[0]).all()


@pytest.fixture
def stored(noisy: Callable[..., np.ndarray], tmp_path: Path) -> ZarrArray:
    affinities = noisy((16, 24, 20), 11)
    voxel_size = Coordinate((40, 10, 10))
    array = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(tmp_path / "prediction.zarr", "s0"),
        ["c", "z", "y", "x"],
        Roi((80, -30, 50), Coordinate((16, 24, 20)) * voxel_size),
        6,
        voxel_size,
        np.uint8,
        write_size=Coordinate((8, 8, 8)) * voxel_size,
        value_scale=1 / 255,
    )
    array[array.roi] = affinities
    return array


def create_output(prediction: Any, path: Path, chunk: tuple[int, ...] | None = None) -> ZarrArray:
    return ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(path, "s0"),
        prediction.spatial_axes,
        prediction.roi,
        None,
        prediction.voxel_size,
        np.uint64,
        write_size=chunk or prediction.chunk_size,
        overwrite=True,
    )


def segment(
    prediction: ZarrArray, tmp_path: Path, block: tuple[int, ...], workers: int, chain: str
) -> np.ndarray:
    output = create_output(prediction, tmp_path / f"segments-{workers}.zarr")
    segment_volume(
        prediction,
        output,
        NEIGHBORHOOD,
        FragmentSettings.model_validate({"chain": chain, "cell_size": [8, 16, 16], "window": 2}),
        AgglomerationSettings(threshold=0.5, min_size=20),
        tmp_path / "work",
        block_size=Coordinate(block) * prediction.voxel_size,
        num_workers=workers,
    )
    return output[output.roi]


@pytest.mark.parametrize("chain", ["seeded", "mutex_watershed"])
def test_a_stored_volume_gives_the_same_segments_in_any_blocks(
    stored: ZarrArray, tmp_path: Path, chain: str
) -> None:
    once = segment(stored, tmp_path, (16, 24, 24), 1, chain)
    assert once.max() > 1
    assert np.array_equal(segment(stored, tmp_path, (8, 8, 16), 1, chain), once)


@pytest.mark.slow
def test_one_two_and_four_workers_give_the_same_segments(stored: ZarrArray, tmp_path: Path) -> None:
    once = segment(stored, tmp_path, (8, 8, 8), 1, "seeded")
    for workers in (2, 4):
        assert np.array_equal(segment(stored, tmp_path, (8, 8, 8), workers, "seeded"), once)


class FailsAtBlock:
    """Makes fragments until one block raises, like a job that is killed there."""

    def __init__(self, inner: FragmentBlocks, index: int) -> None:
        self.inner, self.index = inner, index

    def __call__(self, block: Any) -> None:
        if block.index == self.index:
            raise RuntimeError("killed")
        self.inner(block)


def test_killed_and_resumed_with_other_shards_gives_the_same_fragments(
    stored: ZarrArray, tmp_path: Path
) -> None:
    def make(name: str) -> tuple[FragmentBlocks, BlockGrid, ZarrArray]:
        output = create_output(stored, tmp_path / name)
        grid = BlockGrid.for_array(output)
        chosen = fix_cell_size(FragmentSettings(window=2), grid.block_size / output.voxel_size)
        return FragmentBlocks(stored, output, NEIGHBORHOOD, chosen), grid, output

    function, grid, output = make("undisturbed.zarr")
    run_blocks(function, grid)
    expected = output[output.roi]
    function, grid, output = make("killed.zarr")
    ledger = Ledger(output.directory, "key", len(grid))
    with pytest.raises(BlocksFailedError):
        run_blocks(FailsAtBlock(function, 5), grid, ledger=ledger, retries=0)
    for shard in (2, 0, 1):
        run_blocks(function, grid, ledger=Ledger(output.directory, "key", len(grid)), shard=(shard, 3))
    assert np.array_equal(output[output.roi], expected)


def test_planes_and_float_predictions_are_segmented_too(
    noisy: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    offsets = ((1, 0), (0, 1), (3, 0), (0, 3))
    affinities = noisy((30, 34), 3, offsets)
    stored = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(tmp_path / "stored.zarr", "s0"),
        ["c", "y", "x"],
        Roi((0, 0), (60, 68)),
        4,
        (2, 2),
        np.uint8,
        value_scale=1 / 255,
    )
    stored[stored.roi] = affinities
    floats = NumpyArray.from_np_array(
        affinities / np.float32(255), Roi((0, 0), (60, 68)), Coordinate((2, 2)), ["c", "y", "x"]
    )
    arrays: list[Any] = [stored, floats]
    results = []
    for array in arrays:
        output = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(tmp_path / "plane.zarr", "s0"),
            ["y", "x"],
            array.roi,
            None,
            (2, 2),
            np.uint64,
            write_size=(20, 20),
            overwrite=True,
        )
        for chain in ("seeded", "mutex_watershed"):
            chosen = FragmentSettings.model_validate({"chain": chain, "cell_size": [16, 16], "window": 2})
            segment_volume(array, output, offsets, chosen, AgglomerationSettings(), tmp_path / "work")
            results.append(output[output.roi])
    assert np.array_equal(results[0], results[2]) and np.array_equal(results[1], results[3])
    assert all(len(np.unique(result)) > 1 for result in results)


def test_foreground_of_a_single_channel_is_joined_across_blocks(tmp_path: Path) -> None:
    values = np.zeros((1, 8, 8, 8), np.float32)
    values[0, 1:7, 2, 2], values[0, 5, 5, 1:8] = 0.9, 0.9
    array = NumpyArray.from_np_array(
        values, Roi((0, 0, 0), (8, 8, 8)), Coordinate((1, 1, 1)), ["c", "z", "y", "x"]
    )
    output = create_output(array, tmp_path / "o.zarr", (4, 4, 4))
    chosen = FragmentSettings(chain="connected_components", threshold=0.5)
    segment_volume(
        array, output, (), chosen, AgglomerationSettings(method="contact", threshold=0.5), tmp_path / "w"
    )
    found = output[output.roi]
    assert set(found[1:7, 2, 2].tolist()) == {1} and set(found[5, 5, 1:8].tolist()) == {2}
    assert np.count_nonzero(found) == 13
    with pytest.raises(BlocksFailedError, match="needs affinities"):
        segment_volume(array, output, (), FragmentSettings(), AgglomerationSettings(), tmp_path / "w")


@pytest.mark.parametrize("context", [None, [0, 0, 0], [0, 1, 0]])
@pytest.mark.parametrize("sigma", [0.0, 1.0])
def test_smoothed_connected_components_and_those_with_a_small_context_do_not_depend_on_blocks(
    stored: ZarrArray, tmp_path: Path, sigma: float, context: list[int] | None
) -> None:
    chosen = FragmentSettings(chain="connected_components", threshold=0.6, sigma=sigma, context=context)
    whole, *blocks = [
        segments_by_contact(stored, chosen, chunk, tmp_path)
        for chunk in ((16, 24, 20), (8, 8, 16), (5, 7, 9))
    ]
    assert 1 < whole.max() < np.count_nonzero(whole)
    assert all(np.array_equal(segments, whole) for segments in blocks)
    assert np.array_equal(components_of_whole_volume(stored, sigma), whole)


def segments_by_contact(
    prediction: ZarrArray, chosen: FragmentSettings, chunk: tuple[int, ...], tmp_path: Path
) -> np.ndarray:
    output = create_output(prediction, tmp_path / "o.zarr", Coordinate(chunk) * prediction.voxel_size)
    rule = AgglomerationSettings(method="contact", threshold=chosen.threshold)
    segment_volume(prediction, output, NEIGHBORHOOD, chosen, rule, tmp_path / "w")
    return output[output.roi]


def components_of_whole_volume(prediction: ZarrArray, sigma: float) -> np.ndarray:
    """Connected components of smoothed affinities above 0.6, by SciPy, numbered by their first voxels."""
    stored = np.asarray(prediction[prediction.roi])
    sigmas = [0.0, *(sigma * min(prediction.voxel_size) / size for size in prediction.voxel_size)]
    affinities = ndimage.gaussian_filter(stored.astype(np.float32), sigmas, mode="nearest")
    ids = np.arange(affinities[0].size).reshape(affinities.shape[1:])
    pairs = []
    for axis in range(3):
        joined = np.moveaxis(np.round(affinities[axis]) > 0.6 * 255, axis, 0)[:-1]
        along = np.moveaxis(ids, axis, 0)
        pairs.append(np.stack([along[:-1][joined], along[1:][joined]]))
    first, second = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(ids.size, ids.size))
    labels = connected_components(graph, directed=False)[1]
    labels = np.where(np.bincount(labels)[labels] > 1, labels + 1, 0)
    return fastremap.renumber(labels.reshape(ids.shape), preserve_zero=True)[0]


def test_settings_that_do_not_fit_the_volume_are_refused(noisy: Callable[..., np.ndarray]) -> None:
    frame = Frame(Roi((0, 0), (4, 4)), Coordinate((1, 1)))
    with pytest.raises(ConfigurationError, match="the volume has 2 axes"):
        frame.voxels([1, 2, 3], (0, 0, 0), "context")
    with pytest.raises(VolumeError, match="one for each offset"):
        array = NumpyArray.from_np_array(
            np.zeros((1, 4, 4), np.float32), Roi((0, 0), (4, 4)), Coordinate((1, 1)), ["c", "y", "x"]
        )
        read_affinities(array, frame, frame.box, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chosen", "most"),
    [
        (FragmentSettings(chain="seeded"), 0.02),
        (FragmentSettings(chain="mutex_watershed", bias=[0.2, 0.8]), 0.3),
        (FragmentSettings(chain="mutex_watershed", bias=0.5), 0.3),
    ],
    ids=lambda value: f"{value.chain}-{value.bias}" if isinstance(value, FragmentSettings) else None,
)
def test_cells_hardly_change_the_segments_of_noisy_neurites(
    neurites: Callable[..., np.ndarray], chosen: FragmentSettings, most: float
) -> None:
    affinities = neurites((40, 112, 112), 3)
    offsets = (
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (3, 0, 0),
        (0, 3, 0),
        (0, 0, 3),
        (9, 0, 0),
        (0, 9, 0),
        (0, 0, 9),
    )

    def segments(cell: list[int]) -> np.ndarray:
        in_cells = chosen.model_copy(update={"cell_size": cell})
        fragments = fragments_in_blocks(affinities, affinities.shape[1:], in_cells, offsets=offsets)
        return segments_of(fragments, affinities, in_cells, offsets, threshold=0.5)

    def information(a: np.ndarray, b: np.ndarray) -> float:
        everything = InstanceConvention(ignore_background=False)
        return voi_from_table(contingency_table(a, b), everything).total

    whole = segments([40, 112, 112])
    assert len(np.unique(whole)) > 10
    assert information(segments([24, 40, 40]), whole) <= most
