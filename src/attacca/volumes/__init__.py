"""Import of volumes to OME-Zarr: image stacks, TIFF, HDF5, N5, Zarr, synthetic tissue.

1. ``plan_volume`` opens the sources (``readers``), places them on one voxel grid and checks them. Only headers are read.
2. ``prepare_volume`` creates the empty arrays, or links to Zarr arrays that are used in place.
3. ``ImportBlocks`` fills them block by block.
4. ``finish_volume`` checks the labels and builds the pyramids.
"""

from attacca.volumes.content_fingerprint import check_unchanged, compute_content_fingerprint
from attacca.volumes.import_volume import ImportBlocks, finish_volume, import_block, prepare_volume
from attacca.volumes.readers.open_source import open_source
from attacca.volumes.readers.source import Source
from attacca.volumes.volume_plan import PlannedArray, VolumePlan, examine_volume, plan_volume

__all__ = [
    "ImportBlocks",
    "PlannedArray",
    "Source",
    "VolumePlan",
    "check_unchanged",
    "compute_content_fingerprint",
    "examine_volume",
    "finish_volume",
    "import_block",
    "open_source",
    "plan_volume",
    "prepare_volume",
]
