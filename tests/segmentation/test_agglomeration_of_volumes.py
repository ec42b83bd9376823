"""The agglomeration of volumes in leaves, from the tables of blocks to relabeled fragments."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.blockwise import BlockGrid, run_blocks
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import BlocksFailedError, MissingInputError, ResourceError, VolumeError
from attacca.segmentation import agglomerate as agglomerate_module
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.fragments import fix_cell_size
from attacca.segmentation.frame import Frame
from attacca.segmentation.graph import Graph
from attacca.segmentation.graph_blocks import select_offsets
from attacca.segmentation.graph_tables import locate_table
from attacca.segmentation.leaves import divide_volume
from attacca.segmentation.look_up_table import LeafTable, locate_leaves, relabel
from attacca.segmentation.octree_agglomeration import OctreeAgglomeration
from attacca.segmentation.pipeline import compute_graph, create_fragment_array

NEIGHBORHOOD = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0), (0, 3, 0), (0, 0, 3))
THRESHOLDS = {"seeded": 0.18, "mutex_watershed": 0.4, "connected_components": 0.75}
BLOCK = Coordinate(24, 24, 24)


@pytest.fixture(autouse=True, scope="module")
def _without_power_failures() -> Iterator[None]:
    """Hundreds of small files need not survive a power failure here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield


class Volume:
    """Fragments and their graph, in blocks of 8 voxels, in the directory ``place``."""

    def __init__(self, place: Path, affinities: np.ndarray, settings: FragmentSettings) -> None:
        self.place, self.settings = place, settings
        has_order = settings.chain != "connected_components"
        self.agglomeration = AgglomerationSettings(
            method="mean_affinity" if has_order else "contact", threshold=THRESHOLDS[settings.chain]
        )
        prediction = NumpyArray.from_np_array(
            affinities.astype(np.float32) / 255,
            Roi((30, 0, 0), Coordinate(affinities.shape[1:]) * 3),
            Coordinate(3, 3, 3),
            ["c", "z", "y", "x"],
        )
        self.fragments = create_fragment_array(place, prediction, BLOCK)
        grid = BlockGrid(self.fragments.roi, BLOCK, self.fragments.voxel_size)
        self.graph: Graph = compute_graph(
            prediction,
            self.fragments,
            NEIGHBORHOOD,
            fix_cell_size(settings, [8, 8, 8]),
            self.agglomeration,
            place / "graph",
            grid,
        )

    def in_leaves(
        self, blocks: int | None, run: Callable[..., Any] = run_blocks, **settings: Any
    ) -> OctreeAgglomeration:
        frame = Frame(self.fragments.roi, self.fragments.voxel_size)
        config = self.agglomeration.model_copy(update=settings)
        offsets, _ = select_offsets(NEIGHBORHOOD, config.needs_long_range)
        place = str(self.place / "graph")
        lattice, tables = divide_volume(frame, BLOCK, self.settings, offsets, place, blocks)
        return OctreeAgglomeration(self.place / "parts", f"key-{blocks}", lattice, tables, config, run)


@pytest.fixture(scope="module", params=["seeded", "mutex_watershed", "connected_components"])
def volume(request: pytest.FixtureRequest, noisy: Any, tmp_path_factory: pytest.TempPathFactory) -> Volume:
    settings = FragmentSettings(chain=request.param, min_fragment_size=3, threshold=THRESHOLDS[request.param])
    affinities = noisy((16, 24, 25), 1, NEIGHBORHOOD)
    return Volume(tmp_path_factory.mktemp("volume"), affinities, settings)


@pytest.mark.parametrize("filters", [{}, {"min_size": 60}, {"min_size": 200, "debris": "delete"}])
def test_tables_of_leaves_of_any_size_give_the_segments_of_one_graph(
    volume: Volume, filters: dict, tmp_path: Path
) -> None:
    config = volume.agglomeration.model_copy(update=filters)
    expected = agglomerate(volume.graph, config)
    fragments = volume.fragments[volume.fragments.roi]
    segments = relabel(fragments, expected)
    assert len(expected.ids) > 30 and expected.num_segments > 2
    for blocks in (None, 2, 1):
        parts = volume.in_leaves(blocks, **filters)
        parts = OctreeAgglomeration(tmp_path, parts.key, parts.lattice, parts.tables, config)
        found = parts.finish(tmp_path / "table.npy")
        table = LeafTable.load(tmp_path / "table.npy")
        assert np.array_equal(relabel(fragments, table), segments)
        assert found.sizes.tolist() == expected.count_voxels(volume.graph.sizes).tolist()
        assert (found.num_fragments, found.num_edges) == (len(expected.ids), len(volume.graph.u))
        if blocks is None:
            assert np.array_equal(
                np.load(tmp_path / "table.npy"), np.stack([expected.ids, expected.segments])
            )


@pytest.fixture(scope="module")
def seeded(noisy: Any, tmp_path_factory: pytest.TempPathFactory) -> Volume:
    affinities = noisy((24, 24, 25), 2, NEIGHBORHOOD)
    return Volume(tmp_path_factory.mktemp("seeded"), affinities, FragmentSettings(chain="seeded"))


def test_shards_that_are_killed_and_resumed_in_any_number_give_the_same_table(
    seeded: Volume, tmp_path: Path
) -> None:
    plan = seeded.in_leaves(1, min_size=50)
    whole = OctreeAgglomeration(tmp_path / "a", "k", plan.lattice, plan.tables, plan.settings)
    whole.finish(tmp_path / "whole.npy")
    computed = []

    def run_until_killed(function: Any, grid: BlockGrid) -> None:
        def compute(block: Any) -> None:
            if len(computed) in (3, 17, 30, 41):
                computed.append(None)
                raise KeyboardInterrupt
            function(block)
            computed.append((getattr(function, "level", None), function.numbers[block.index]))

        run_blocks(compute, grid)

    killed = OctreeAgglomeration(
        tmp_path / "b", "k", plan.lattice, plan.tables, plan.settings, run_until_killed
    )
    for index, count in ((2, 4), (0, 3), (0, 4), (1, 4), (2, 4), (3, 4), (0, 2), (1, 2)):
        with contextlib.suppress(KeyboardInterrupt):
            killed.compute_shard(index, count)
    parts = [part for part in computed if part is not None]
    assert (
        len(parts) == len(set(parts))
        and len(parts) < len(computed)
        and {level for level, _ in parts} >= {0, 1}
    )
    OctreeAgglomeration(tmp_path / "b", "k", plan.lattice, plan.tables, plan.settings).finish(
        tmp_path / "b.npy"
    )
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert locate_leaves(tmp_path / "b.npy").read_text() == locate_leaves(tmp_path / "whole.npy").read_text()


def test_rows_that_no_leaf_reads_are_an_error(seeded: Volume, tmp_path: Path) -> None:
    plan = seeded.in_leaves(1)
    tables = type(plan.tables)(plan.tables.directory, plan.tables.blocks, plan.tables.block, (0, 0, 0))
    parts = OctreeAgglomeration(tmp_path, "k", plan.lattice, tables, plan.settings)
    with pytest.raises(VolumeError, match="rows of nodes and edges, expected"):
        parts.finish(tmp_path / "table.npy")
    assert not (tmp_path / "table.npy").exists()


def test_a_missing_or_damaged_table_is_named(seeded: Volume, tmp_path: Path) -> None:
    plan = seeded.in_leaves(2)
    path = locate_table(plan.tables.directory, "edges", 7)
    content = path.read_bytes()
    for damaged in (None, content[:-20], b""):
        if damaged is None:
            path.unlink()
        else:
            path.write_bytes(damaged)
        with pytest.raises(
            (BlocksFailedError, MissingInputError, VolumeError), match=r"000000007\.edges\.npy"
        ):
            OctreeAgglomeration(tmp_path, "k", plan.lattice, plan.tables, plan.settings).finish(
                tmp_path / "t.npy"
            )
        path.write_bytes(content)


def test_a_table_without_its_leaves_is_refused(seeded: Volume, tmp_path: Path) -> None:
    plan = seeded.in_leaves(2)
    path = tmp_path / "table.npy"
    OctreeAgglomeration(tmp_path / "parts", "k", plan.lattice, plan.tables, plan.settings).finish(path)
    rows = np.load(path)
    np.save(path, rows[:, 1:])
    with pytest.raises(MissingInputError, match="fragments, expected"):
        LeafTable.load(path)
    locate_leaves(path).unlink()
    with pytest.raises(MissingInputError, match=r"table\.leaves\.json"):
        LeafTable.load(path)


def test_a_mutex_watershed_of_too_many_edges_is_refused(
    seeded: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agglomerate_module, "MUTEX_NUMBER", np.int8)
    with pytest.raises(ResourceError, match=r"edges for a mutex .* at most 31 "):
        agglomerate(seeded.graph, AgglomerationSettings(method="mutex_watershed"))
