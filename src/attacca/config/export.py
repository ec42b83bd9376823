"""Configuration model of the ``export:`` section: formats of other programs in which segmentations are written."""

from typing import Annotated, Literal

from pydantic import Field

from attacca.config.base import StrictModel

SKELETON_BYTES_PER_VOXEL = 45
"""Memory of kimimaro per voxel of a segment's bounding box, ids included."""

EXTRA_PACKAGES = {"meshes": ("zmesh", "DracoPy"), "skeletons": ("kimimaro",)}
"""Packages of the extra ``export`` by the setting that needs them."""

Ids = Literal["keep", "consecutive"]


class SegmentChoice(StrictModel):
    """Choice of segments. A segment is chosen if it meets every condition."""

    segments: Annotated[list[Annotated[int, Field(ge=1, lt=2**64)]], Field(min_length=1)] | None = None
    """Ids of the segments; by default all segments. An id that the segmentation does not contain is an error."""
    largest: Annotated[int, Field(ge=1)] | None = None
    """Number of segments: those with the most voxels. By default all segments."""
    min_size: Annotated[int, Field(ge=1)] = 1
    """Segments with fewer voxels are left out."""


class MeshExport(SegmentChoice):
    """Surface meshes, for segments of three-dimensional volumes."""

    format: Literal["multiresolution", "legacy"] = "multiresolution"
    """``multiresolution``: several levels of detail in fragments, compressed by Draco (``neuroglancer_multilod_draco``).
    ``legacy``: one level without compression, for programs that do not read the other format."""
    reduction: Annotated[int, Field(ge=0)] = 100
    """Factor by which triangles are reduced; 0 keeps the triangles of the voxels' surface."""
    max_error: Annotated[float, Field(ge=0)] = 40.0
    """Distance in nanometers by which the reduction may move a vertex."""


class SkeletonExport(SegmentChoice):
    """Center lines, for segments of three-dimensional volumes (TEASAR, as in kimimaro)."""

    min_size: Annotated[int, Field(ge=1)] = 1000
    """Segments with fewer voxels are left out."""
    scale: Annotated[float, Field(gt=0)] = 1.5
    """A branch suppresses others within ``scale`` times the distance to the boundary, plus ``const``."""
    const: Annotated[float, Field(ge=0)] = 300.0
    """Distance in nanometers, see ``scale``."""
    swc: bool = True
    """Also write one SWC file per skeleton, in nanometers."""


class PrecomputedExport(StrictModel):
    """Neuroglancer Precomputed: the segmentation with its scales, meshes and skeletons."""

    sharded: bool = True
    """Store 64 chunks of 64³ voxels per file. ``false`` stores one file per chunk."""
    meshes: MeshExport | bool = False
    """Write meshes: ``true``, or a choice of segments and settings. They need the extra ``export``."""
    skeletons: SkeletonExport | bool = False
    """Write skeletons: ``true``, or a choice of segments and settings. They need the extra ``export``."""

    @property
    def mesh_settings(self) -> MeshExport | None:
        """Settings of the meshes, or None."""
        return MeshExport() if self.meshes is True else self.meshes or None

    @property
    def skeleton_settings(self) -> SkeletonExport | None:
        """Settings of the skeletons, or None."""
        return SkeletonExport() if self.skeletons is True else self.skeletons or None


class TiffExport(StrictModel):
    """One TIFF file with a page per section."""

    dtype: Literal["uint16", "uint32", "uint64"] = "uint32"
    """Type of the ids. ImageJ shows 32-bit ids as floating point, exact up to 16,777,216; it does not read 64 bits."""
    ids: Ids = "keep"
    """``consecutive`` numbers the segments 1, 2, ... and writes a table of both ids. With ``keep``, an id beyond the
    type's range is an error."""


class Hdf5Export(StrictModel):
    """One HDF5 file for ilastik (``exported_data``) and CREMI (``volumes/labels/neuron_ids``); both names are one array."""

    dtype: Literal["uint32", "uint64"] = "uint64"
    """Type of the ids."""
    ids: Ids = "keep"
    """As for TIFF."""


class WebKnossosExport(StrictModel):
    """webKnossos dataset: a segmentation layer in Zarr 3 with ``datasource-properties.json``."""


class ExportConfig(StrictModel):
    """Formats of other programs in which each segmentation is written, below ``results/RUN/VOLUME/export``."""

    precomputed: PrecomputedExport | bool = False
    """Neuroglancer Precomputed: ``true``, or settings."""
    webknossos: WebKnossosExport | bool = False
    """webKnossos dataset."""
    tiff: TiffExport | bool = False
    """TIFF stack: ``true``, or settings."""
    hdf5: Hdf5Export | bool = False
    """HDF5 file: ``true``, or settings."""

    @property
    def formats(self) -> dict[str, StrictModel]:
        """Settings of the formats that are written, by name."""
        defaults: dict[str, type[StrictModel]] = {
            "precomputed": PrecomputedExport,
            "webknossos": WebKnossosExport,
            "tiff": TiffExport,
            "hdf5": Hdf5Export,
        }
        values = {name: getattr(self, name) for name in defaults}
        return {name: defaults[name]() if value is True else value for name, value in values.items() if value}
