"""Compilation of all kernels in one place.

numba compiles a kernel on its first call and keeps it on disk: beside the package, or in the directory that
``NUMBA_CACHE_DIR`` names where the package's is not writable (a container, a shared installation). A
container's recipe, or the first job, runs ``python -m attacca.segmentation.compiled`` once; it takes about
half a minute.
"""

from functools import partial

import numpy as np
from funlib.geometry import Coordinate, Roi


def warm(chain: str | None = None) -> None:
    """Compile the kernels of a chain (``"mutex_watershed"``, ``"seeded"``, ``"connected_components"``), of
    the ``"graph"``, or of everything."""
    from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
    from attacca.segmentation.fragments import fragments_of_box
    from attacca.segmentation.frame import Frame
    from attacca.segmentation.graph import Region, block_graph
    from attacca.segmentation.graph_blocks import graph_of_tables
    from attacca.segmentation.lookup import agglomerate
    from attacca.segmentation.offsets import Offsets
    from attacca.segmentation.relabel import relabel

    neighborhood = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0))
    affinities = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 8)).astype(np.uint8)
    frame = Frame(Roi((0, 0, 0), (8, 8, 8)), Coordinate((1, 1, 1)))
    masks: list[np.ndarray | None] = [None, np.ones((8, 8, 8), bool)]
    for name in ("mutex_watershed", "seeded", "connected_components"):
        if chain not in (None, name):
            continue
        settings = FragmentSettings.model_validate({"chain": name})
        for mask in masks:
            piece = (affinities, mask)
            fragments_of_box(partial(_whole, piece), frame, frame.box, neighborhood, settings)
    if chain in (None, "graph"):
        fragments = np.arange(512, dtype=np.uint64).reshape(8, 8, 8) // np.uint64(4)
        tables = block_graph(
            fragments, affinities, Offsets.create(neighborhood), Region((0, 0, 0), (8, 8, 8))
        )
        graph = graph_of_tables(*tables)
        for method in ("mean_affinity", "mutex_watershed"):
            table = agglomerate(
                graph, AgglomerationSettings.model_validate({"method": method, "min_size": 9})
            )
        relabel(fragments, table)


def _whole(piece: tuple[np.ndarray, np.ndarray | None], box: object) -> tuple[np.ndarray, np.ndarray | None]:
    return piece


if __name__ == "__main__":
    warm()
