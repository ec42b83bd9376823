"""Hash tables with open addressing and linear probing, for compiled kernels.

A table is an array of slots whose length is a power of two. Three kinds of table share the functions below;
the second argument, ``keys``, decides between them:

- an array: slots hold int32 indices, and the key of index ``i`` is ``keys[i]``;
- a pair of arrays ``(u, v)``: slots hold int32 indices, and the key of index ``i`` is the unordered pair of
  ``u[i]`` and ``v[i]``;
- None: slots hold the uint64 keys themselves (a set).

An empty slot has all bits set.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

EMPTY_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)
EMPTY = np.int32(-1)
DELETED = np.int32(-2)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_LOW = np.uint64(0xFFFFFFFF)


@njit(cache=True, nogil=True, inline="always")
def pack_pair(a, b):
    """Return the key of an unordered pair of indices below 2^32: the smaller in the upper half.

    >>> pack_pair(5, 2) == pack_pair(2, 5) == 2 * 2**32 + 5
    True
    """
    if a < b:
        return (np.uint64(a) << np.uint64(32)) | np.uint64(b)
    return (np.uint64(b) << np.uint64(32)) | np.uint64(a)


@njit(cache=True, nogil=True, inline="always")
def unpack_pair(key):
    """Return the two indices of a key, the smaller first.

    >>> unpack_pair(np.uint64(pack_pair(5, 2)))
    (2, 5)
    """
    return np.int64(key >> np.uint64(32)), np.int64(key & _LOW)


def _key_of(keys: Any, content: Any) -> Any:
    """Return the key of a slot's content; compiled only."""
    raise NotImplementedError


@overload(_key_of, inline="always")
def _overload_key_of(keys, content):
    if isinstance(keys, types.NoneType):
        return lambda keys, content: content
    if isinstance(keys, types.UniTuple):
        return lambda keys, content: pack_pair(keys[0][content], keys[1][content])
    return lambda keys, content: keys[content]


@njit(cache=True, nogil=True, inline="always")
def _first_slot(table, key):
    return np.int64((key * _GOLDEN) >> np.uint64(20)) & (len(table) - 1)


@njit(cache=True, nogil=True)
def find_slot(table, keys, key):
    """Return the slot that holds ``key``, or else the empty slot at which the search ended.

    >>> keys = np.array([70, 80, 90], np.uint64)
    >>> table = make_table(keys, 0, 3, 8)
    >>> [int(table[find_slot(table, keys, np.uint64(key))]) for key in (90, 70, 75)]
    [2, 0, -1]
    """
    slot = _first_slot(table, key)
    while ~table[slot] != 0:
        if table[slot] >= 0 and _key_of(keys, table[slot]) == key:
            return slot
        slot = (slot + 1) & (len(table) - 1)
    return slot


@njit(cache=True, nogil=True)
def add_key(table, key):
    """Add a key to a set. Return False if the set has it already.

    >>> table = np.full(8, EMPTY_KEY, np.uint64)
    >>> add_key(table, np.uint64(70)), add_key(table, np.uint64(70))
    (True, False)
    """
    slot = find_slot(table, None, key)
    if table[slot] == key:
        return False
    table[slot] = key
    return True


@njit(cache=True, nogil=True)
def has_key(table, key):
    """Return whether a set has a key.

    >>> table = np.full(8, EMPTY_KEY, np.uint64)
    >>> add_key(table, np.uint64(70)), has_key(table, np.uint64(70)), has_key(table, np.uint64(80))
    (True, True, False)
    """
    return table[find_slot(table, None, key)] == key


@njit(cache=True, nogil=True)
def add_index(table, keys, index):
    """Add an index whose key the table lacks. Return False if it took the slot of a deleted one.

    >>> keys, table = np.array([70, 80], np.uint64), np.full(8, EMPTY, np.int32)
    >>> add_index(table, keys, np.int32(1)), int(table[find_slot(table, keys, np.uint64(80))])
    (True, 1)
    """
    slot = _first_slot(table, _key_of(keys, index))
    while table[slot] >= 0:
        slot = (slot + 1) & (len(table) - 1)
    was_empty = table[slot] == EMPTY
    table[slot] = index
    return was_empty


@njit(cache=True, nogil=True)
def make_table(keys, first, count, size):
    """Return a table of ``size`` slots that holds the indices from ``first`` up to ``count``.

    >>> sorted(make_table(np.array([70, 80], np.uint64), 0, 2, 4).tolist())
    [-1, -1, 0, 1]
    """
    table = np.full(size, EMPTY, np.int32)
    for index in range(first, count):
        add_index(table, keys, np.int32(index))
    return table
