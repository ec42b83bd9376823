"""The three kinds of hash table against dictionaries and sets of Python."""

import numpy as np
import pytest

from attacca.segmentation.dense_labels import index_labels
from attacca.segmentation.hash_table import (
    DELETED,
    EMPTY_KEY,
    add_index,
    add_key,
    find_slot,
    has_key,
    make_table,
    pack_pair,
    unpack_pair,
)


def test_a_set_has_the_keys_that_were_added() -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, 700).astype(np.uint64)
    table = np.full(1024, EMPTY_KEY, np.uint64)
    assert all(add_key(table, key) for key in keys)
    assert not any(add_key(table, key) for key in keys)
    assert all(has_key(table, key) for key in keys) and not has_key(table, np.uint64(2**63 + 1))


def test_indices_are_found_by_their_keys() -> None:
    keys = np.random.default_rng(1).permutation(np.arange(0, 7 * 900, 7)).astype(np.uint64)
    table = make_table(keys, 0, len(keys), 1024)
    assert [table[find_slot(table, keys, key)] for key in keys] == list(range(len(keys)))
    assert table[find_slot(table, keys, np.uint64(3))] < 0


def test_pairs_are_found_in_either_order_and_deleted_slots_are_used_again() -> None:
    u, v = (np.array(nodes, np.int32) for nodes in ([0, 2, 5], [7, 1, 4]))
    table = make_table((u, v), 0, 3, 8)
    for index, (a, b) in enumerate(zip(u, v)):
        assert table[find_slot(table, (u, v), pack_pair(a, b))] == index
        assert table[find_slot(table, (u, v), pack_pair(b, a))] == index
    slot = find_slot(table, (u, v), pack_pair(2, 1))
    table[slot] = DELETED
    assert table[find_slot(table, (u, v), pack_pair(2, 1))] < 0
    # The search for other pairs continues beyond the deleted slot.
    assert [table[find_slot(table, (u, v), pack_pair(u[i], v[i]))] for i in (0, 2)] == [0, 2]
    assert not add_index(table, (u, v), np.int32(1))
    assert table[slot] == 1


def test_a_pair_is_unpacked_with_the_smaller_index_first() -> None:
    assert unpack_pair(np.uint64(pack_pair(2**31 - 1, 3))) == (3, 2**31 - 1)


@pytest.mark.parametrize("count", [1, 511, 512, 5000])
def test_labels_are_indexed_in_order_of_appearance(count: int) -> None:
    ids = np.random.default_rng(count).permutation(np.arange(1, count + 1)).astype(np.uint64) * np.uint64(
        2**40
    )
    labels = np.concatenate([ids, ids[::-1], [np.uint64(0)]])
    values, indices = index_labels(labels)
    assert np.array_equal(values, np.concatenate([[0], ids]))
    assert np.array_equal(values[indices], labels)
