"""From affinities to a segmentation that does not depend on the blocks of the volume.

The pipeline has four steps (``pipeline.segment_volume`` runs all of them):

1. ``fragments``: each block, read with context, is divided into small fragments that rarely cross a boundary:
   by mutex watershed, by seeded watershed, or by connected components. Ids are unique by construction.
2. ``block_graph``: fragments that touch get an edge with integer sums of the affinities between them; each
   edge of the voxel grid is counted by exactly one block. ``graph_tables`` adds up the blocks.
3. ``agglomerate``: one agglomeration of the whole graph gives a look-up table from fragments to segments.
4. ``relabel_blocks``: the table is applied block by block.

Block functions for ``attacca.blockwise.run_blocks`` are in ``fragment_blocks``, ``graph_blocks`` and
``relabel_blocks``. ``tuning`` scores thousands of settings on the graph alone, ``checks`` refuses implausible
segmentations.

numba compiles the kernels on first use and stores them on disk (beside the package, or in the directory that
``NUMBA_CACHE_DIR`` names); ``compiled.compile_kernels`` compiles all of them.
"""
