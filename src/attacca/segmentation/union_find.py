"""Union-find forests of nodes, as arrays: ``parents[v] == v`` for roots."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def find_root(parents, v):
    """Return the root of ``v``, and halve the path to it.

    >>> find_root(np.array([0, 0, 1]), 2)
    0
    """
    while parents[v] != v:
        parents[v] = parents[parents[v]]
        v = parents[v]
    return v


@njit(cache=True, nogil=True)
def join_pairs(parents, a, b):
    """Join nodes ``a[i]`` and ``b[i]`` of the forest; roots are the smallest nodes.

    >>> parents = np.arange(4, dtype=np.int32)
    >>> join_pairs(parents, np.array([3, 1]), np.array([1, 2]))
    >>> find_roots(parents), number_clusters(parents)
    (array([0, 1, 1, 1], dtype=int32), array([0, 1, 1, 1]))
    """
    for i in range(len(a)):
        x = find_root(parents, a[i])
        y = find_root(parents, b[i])
        if x < y:
            parents[y] = x
        elif y < x:
            parents[x] = y


@njit(cache=True, nogil=True)
def find_roots(parents):
    """Return the root of each node, in the dtype of ``parents``.

    >>> find_roots(np.array([0, 0, 1]))
    array([0, 0, 0])
    """
    roots = np.empty_like(parents)
    for node in range(len(parents)):
        roots[node] = find_root(parents, node)
    return roots


@njit(cache=True, nogil=True)
def number_clusters(parents):
    """Return int64 (nodes,): the index of each node's cluster, 0, 1, ... by first node.

    >>> number_clusters(np.array([0, 1, 0]))
    array([0, 1, 0])
    """
    names = np.full(len(parents), -1, np.int64)
    clusters = np.empty(len(parents), np.int64)
    count = 0
    for v in range(len(parents)):
        root = find_root(parents, v)
        if names[root] < 0:
            names[root] = count
            count += 1
        clusters[v] = names[root]
    return clusters
