"""Compilation of all kernels.

numba compiles a kernel on its first call and stores it on disk: beside the package, or in the directory that
``NUMBA_CACHE_DIR`` names if the package's own is not writable (a container, a shared installation). Run
``python -m attacca.segmentation.compiled`` once before many jobs start; it takes about half a minute.
"""

from functools import partial

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.kernel_compilation import announce_compilation
from attacca.segmentation.agglomerate import agglomerate
from attacca.segmentation.block_graph import count_block_graph
from attacca.segmentation.box import Box
from attacca.segmentation.fragments import make_fragments
from attacca.segmentation.frame import Frame
from attacca.segmentation.graph_tables import join_tables, reduce_edges, reduce_nodes
from attacca.segmentation.leaf_part import make_leaf_part
from attacca.segmentation.look_up_table import relabel
from attacca.segmentation.object_table import measure_objects
from attacca.segmentation.octree import Octree
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.part_agglomeration import agglomerate_part

_NEIGHBORHOOD = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0))
_PIPELINES = ("mutex_watershed", "seeded", "connected_components")


def compile_kernels(part: str | None = None) -> None:
    """Compile kernels by calling them on a few voxels.

    Args:
        part: a method of making fragments (``"mutex_watershed"``, ``"seeded"``,
            ``"connected_components"``), or ``"graph"``; None compiles everything.

    >>> compile_kernels("connected_components")
    """
    affinities = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 8)).astype(np.uint8)
    frame = Frame(Roi((0, 0, 0), (8, 8, 8)), Coordinate((1, 1, 1)))
    for pipeline in _PIPELINES:
        if part in (None, pipeline):
            settings = FragmentSettings.model_validate({"chain": pipeline})
            for mask in (None, np.ones((8, 8, 8), bool)):
                read = partial(_read, affinities, mask)
                make_fragments(read, frame, frame.box, _NEIGHBORHOOD, settings)
    if part in (None, "graph"):
        fragments = np.arange(512, dtype=np.uint64).reshape(8, 8, 8) // np.uint64(4)
        offsets = Offsets.create(_NEIGHBORHOOD)
        nodes, edges = count_block_graph(fragments, affinities, offsets, frame.box)
        graph = join_tables(nodes, edges)
        for method in ("mean_affinity", "mutex_watershed"):
            settings_of_method = AgglomerationSettings.model_validate({"method": method, "min_size": 9})
            relabel(fragments, agglomerate(graph, settings_of_method))
            if method == "mean_affinity":
                tables = reduce_nodes(nodes), reduce_edges(edges)
                leaf = make_leaf_part(*tables, 0, Octree((1, 1, 1)), _find_leaves, settings_of_method)
                agglomerate_part(leaf, settings_of_method, 0)
        # Objects of a block are numbered in the smallest dtype that holds them.
        for labels in (fragments, np.arange(512, dtype=np.uint64).reshape(8, 8, 8)):
            measure_objects(labels, (0, 0, 0), labels.shape)


def _read(affinities: np.ndarray, mask: np.ndarray | None, box: Box) -> tuple[np.ndarray, np.ndarray | None]:
    return affinities, mask


def _find_leaves(ids: np.ndarray) -> np.ndarray:
    return np.zeros(len(ids), np.int64)


if __name__ == "__main__":
    announce_compilation("installation", patience=2)
    compile_kernels()
