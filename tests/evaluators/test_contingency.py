import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from attacca.evaluators import ContingencyTable, contingency_table, merge_tables
from attacca.evaluators import contingency as module

IDS = st.sampled_from([0, 1, 2, 3, 2**32, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1])
quick = settings(max_examples=30, deadline=None, derandomize=True)


@st.composite
def volumes(draw):
    shape = draw(array_shapes(min_dims=1, max_dims=3, max_side=6))
    one, two = (draw(arrays(np.uint64, shape, elements=IDS)) for _ in range(2))
    return one, two, draw(arrays(np.bool_, shape))


def rows(table: ContingencyTable) -> dict[tuple[int, int], int]:
    return {(int(s), int(t)): int(n) for s, t, n in zip(table.segment, table.ground_truth, table.count)}


def counted_one_by_one(segmentation, ground_truth, mask) -> dict[tuple[int, int], int]:
    expected: dict[tuple[int, int], int] = {}
    for s, t, m in zip(segmentation.ravel(), ground_truth.ravel(), mask.ravel()):
        if m:
            expected[int(s), int(t)] = expected.get((int(s), int(t)), 0) + 1
    return expected


@quick
@given(volumes())
def test_every_voxel_is_counted_once_with_its_exact_ids(volume):
    segmentation, ground_truth, mask = volume
    assert rows(contingency_table(segmentation, ground_truth, mask)) == counted_one_by_one(
        segmentation, ground_truth, mask
    )
    everything = contingency_table(segmentation, ground_truth)
    assert everything.total == ground_truth.size
    assert np.all(np.diff(everything.ground_truth.astype(object)) >= 0)


@quick
@given(volumes(), st.integers(0, 6))
def test_the_sum_over_parts_is_the_table_of_the_whole(volume, cut):
    segmentation, ground_truth, mask = volume
    parts = [
        contingency_table(segmentation[s], ground_truth[s], mask[s])
        for s in (slice(0, cut), slice(cut, None))
    ]
    assert parts[0] + parts[1] == contingency_table(segmentation, ground_truth, mask)
    assert merge_tables(reversed(parts)) == merge_tables(parts)


def test_many_pairs_outgrow_the_first_hash_table():
    random = np.random.default_rng(1)
    segmentation = random.integers(0, 2**64, 30_000, dtype=np.uint64)
    ground_truth = random.integers(0, 50, 30_000).astype(np.uint8)
    mask = np.ones(30_000, bool)
    assert rows(contingency_table(segmentation, ground_truth)) == counted_one_by_one(
        segmentation, ground_truth, mask
    )


def test_large_volumes_are_counted_slab_by_slab(monkeypatch):
    random = np.random.default_rng(2)
    segmentation, ground_truth = random.integers(0, 4, (2, 9, 5, 7))
    whole = contingency_table(segmentation, ground_truth)
    monkeypatch.setattr(module, "SLAB_VOXELS", 80)
    assert contingency_table(segmentation, ground_truth) == whole


def test_a_table_of_fragments_becomes_that_of_their_agglomeration():
    random = np.random.default_rng(3)
    fragments, ground_truth = random.integers(0, 20, (2, 12, 12))
    ids, roots = np.array([7, 3, 19, 200]), np.array([3, 3, 1, 5])
    agglomerated = fragments.copy()
    agglomerated[fragments == 7] = 3
    agglomerated[fragments == 19] = 1
    table = contingency_table(fragments, ground_truth)
    segments = np.arange(20)
    segments[[7, 3, 19]] = [3, 3, 1]
    renamed = ContingencyTable.from_rows(segments[table.segment], table.ground_truth, table.count)
    assert renamed == contingency_table(agglomerated, ground_truth)
    assert contingency_table(ground_truth, fragments).map_ground_truth(ids, roots) == contingency_table(
        ground_truth, agglomerated
    )


def test_a_table_survives_its_file(tmp_path):
    table = contingency_table(np.array([1, 2**64 - 1], np.uint64), np.array([0, 5], np.uint8))
    table.save(tmp_path / "table.npz")
    assert ContingencyTable.load(tmp_path / "table.npz") == table


def test_bool_signed_and_fortran_ordered_arrays_are_ids():
    labels = np.asfortranarray(np.arange(12, dtype=np.int32).reshape(3, 4) % 3)
    assert rows(contingency_table(labels > 0, labels)) == {(0, 0): 4, (1, 1): 4, (1, 2): 4}


def test_no_voxels_give_an_empty_table():
    nothing = np.empty((0, 3), np.uint64)
    assert contingency_table(nothing, nothing) == ContingencyTable.empty() == merge_tables([])


@pytest.mark.parametrize("bad", [np.zeros(3, np.float32), np.array([1, -1, 0])])
def test_an_invalid_id_is_refused(bad):
    with pytest.raises(ValueError, match="ids: found"):
        contingency_table(bad, np.zeros(3, np.uint8))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"shapes .*\(2,\).*\(3,\)"):
        contingency_table(np.zeros(2, np.uint8), np.zeros(3, np.uint8))
