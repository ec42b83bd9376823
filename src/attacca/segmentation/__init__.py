"""From affinities to a segmentation that does not depend on how the volume is cut into blocks.

1. ``fragments``: each block, read with context, becomes small pieces that hardly ever cross a boundary: by
   mutex watershed, by seeds on the distance to the boundary, or by connected components. Ids are unique by
   construction.
2. ``graph``: which fragments touch, with integer sums of the affinities between them; every edge of the
   volume is counted by exactly one block.
3. ``agglomerate``: one agglomeration over the whole graph gives a look-up table from fragments to segments.
4. ``relabel``: the table is applied block by block.

``tuning`` tries thousands of settings on the graph alone, ``checks`` refuses segmentations that cannot be
right, and ``chain.segment_volume`` runs all of it.

The kernels are compiled by numba on first use and kept on disk (beside the package, or where
``NUMBA_CACHE_DIR`` says); ``compiled.warm`` compiles all of them at once.
"""
