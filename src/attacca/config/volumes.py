"""Models of the section ``volumes``: locations and meaning of images and labels."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from attacca.config.base import StrictModel
from attacca.config.extension import ReaderSection
from attacca.config.units import normalize_unit, to_whole_coordinate


def _check_location(value: Any) -> Path | str:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"found {value!r}, expected a file, a directory, a pattern or an s3:// address")
    if isinstance(value, str) and "://" in value:
        scheme, _, rest = value.partition("://")
        if scheme != "file" and not rest.partition("/")[0]:
            raise ValueError(
                f"found {value!r}, which names no bucket or server, expected an address such as s3://bucket/key"
            )
        return value
    return Path(value)


Location = Annotated[
    Path | str,
    PlainValidator(_check_location),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "path"}),
]
"""A local path, relative to the configuration file, or a URL such as ``s3://bucket/key``."""


def _check_dimensions(values: list[Any]) -> list[Any]:
    if len(values) not in (2, 3):
        raise ValueError(f"found {len(values)} numbers, expected 2 (y, x) or 3 (z, y, x)")
    return values


# World coordinates are 64-bit integers, in which products of lengths and voxels must fit.
WorldNumbers = Annotated[
    list[Annotated[float, Field(ge=-(10**12), le=10**12)]], AfterValidator(_check_dimensions)
]
Voxels = Annotated[list[Annotated[int, Field(gt=0, le=10**9)]], AfterValidator(_check_dimensions)]


def _check_axes(axes: str) -> str:
    if not set(axes) <= set("tczyx") or len(set(axes)) < len(axes) or not {"y", "x"} <= set(axes):
        raise ValueError(
            f"found '{axes}', expected one letter per axis of the file: y and x, with z, c (channels) and t (time) at "
            "most, such as zyx, xyz or tzyxc"
        )
    return axes


Axes = Annotated[str, AfterValidator(_check_axes)]


def _without_absent_reader(values: dict[str, Any]) -> dict[str, Any]:
    # Volumes that were imported before this key existed stay valid.
    return {key: value for key, value in values.items() if key != "reader" or value is not None}


class ArraySource(StrictModel):
    """One array: a stack of images, a file, or a data set in a container."""

    path: Location
    """A directory with PNG, TIFF, BMP, JPEG or DM3/DM4 sections, a pattern such as ``raw/*.png``, a single image, a
    multi-page TIFF, an HDF5, MRC, DM3 or DM4 file, a Zarr (format 2 or 3, also zipped) or N5 container, an XML file of
    BigDataViewer, a data set of webKnossos, a directory in the format Neuroglancer Precomputed, or an address of a
    container: ``s3://bucket/volume.zarr``, ``https://host/volume.n5/raw``, ``gs://bucket/volume.zarr``,
    ``precomputed://gs://bucket/volume``.
    Sections are sorted in the natural order of their names, 2 before 10; the pages of a file follow each other. JPEG
    changes values, so it is refused for labels."""
    dataset: str | None = None
    """Name of the data set in an HDF5 file, Zarr or N5 container, not needed if there is only one; key or number of the
    scale of a Precomputed volume, by default the finest; point of time and view setup in an XML file of BigDataViewer, such
    as ``t00000/s00``; layer and magnification of a data set of webKnossos, such as ``color`` or ``color/2-2-1``."""
    channel: Annotated[int, Field(ge=0)] | None = None
    """Channel to read from an image with several channels (0 is red in a color image)."""
    axes: Axes | None = None
    """Order of the axes of an HDF5 data set or an MRC file, one letter each: z, y, x, c (channels), t (a single point of
    time), such as ``xyz`` or ``tzyxc``; replaces the order in the file."""
    offset: WorldNumbers | None = None
    """Lower corner of the first voxel in the volume's unit; replaces the offset in the file and the volume's
    ``offset``."""
    missing_chunks: Literal["refuse", "zero"] | None = None
    """Meaning of chunks that a Zarr, N5 or Precomputed array, an HDF5 data set or a layer of webKnossos does not hold. Some
    programs omit chunks of zeros; an interrupted copy looks the same. ``zero`` reads them as fill values, ``refuse`` is an
    error. By default missing chunks of an image are an error, and those of labels and masks a warning."""

    reader: ReaderSection = None
    """An extension that reads the file or directory, in place of Attacca's readers."""

    @model_serializer(mode="wrap")
    def _omit_absent_reader(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_absent_reader(serialize(self))


class LabelArraySource(ArraySource):
    """One array of labels."""

    encoding: Literal["rgb"] | None = None
    """Encoding of ids in a color image: ``rgb`` for red * 65536 + green * 256 + blue (VAST and other painting programs). By
    default the values are the ids."""


class ClassSource(LabelArraySource):
    """The voxels of one class, read from a source of their own."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the class."""
    values: Annotated[list[Annotated[int, Field(ge=0, lt=2**64)]], Field(min_length=1)] | None = None
    """Values in the source that belong to this class; by default all values except 0. ``[0]`` selects the value 0, such as
    the membranes of ISBI 2012, where 0 is the class and not background."""


class LabelsSource(StrictModel):
    """Labels: one array of ids, or one array per class."""

    path: Location | None = None
    """Location as for ``raw``: an array with one id per voxel."""
    dataset: str | None = None
    """Name of the data set in an HDF5 file, Zarr or N5 container; not needed if there is only one."""
    channel: Annotated[int, Field(ge=0)] | None = None
    """Channel to read from an image with several channels."""
    axes: Axes | None = None
    """Order of the axes of an HDF5 data set or an MRC file, one letter each: z, y, x, c (channels), t (a single point of
    time), such as ``xyz`` or ``tzyxc``; replaces the order in the file."""
    offset: WorldNumbers | None = None
    """Lower corner of the first voxel in the volume's unit; replaces the offset in the file and the volume's
    ``offset``."""
    encoding: Literal["rgb"] | None = None
    """Encoding of ids in a color image: ``rgb`` for red * 65536 + green * 256 + blue (VAST and other painting programs). By
    default the values are the ids."""
    missing_chunks: Literal["refuse", "zero"] | None = None
    """Meaning of chunks that a Zarr or N5 array or an HDF5 data set does not hold. Some programs omit chunks of zeros; an
    interrupted copy looks the same. ``zero`` reads them as fill values, ``refuse`` is an error. By default missing chunks
    of an image are an error, and those of labels and masks a warning."""
    reader: ReaderSection = None
    """An extension that reads the file or directory, in place of Attacca's readers."""
    unlabelled: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    """Value of voxels without annotation, which are ignored in training and scores, such as 0, -1 or
    18446744073709551615 (the largest 64-bit number, in CREMI's files). Omit it if 0 is annotated background. Labels with
    a negative value are copied, with this value plus 2^64 in its place."""
    classes: Annotated[list[ClassSource], Field(min_length=1)] | None = None
    """Classes in sources of their own, instead of ``path``. The first class has the id 1, the next 2; voxels without a
    class are 0. Where classes overlap, the later class in the list is used."""
    combine: Literal["ids", "channels"] = "ids"
    """Combination of ``classes`` to one array: ``ids`` stores one class id per voxel. ``channels`` stores one channel
    per class with the values of its source, so that touching instances stay separate."""

    @model_serializer(mode="wrap")
    def _omit_absent_reader(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_absent_reader(serialize(self))

    @model_validator(mode="after")
    def _one_kind(self) -> "LabelsSource":
        if (self.path is None) == (self.classes is None):
            found = "neither 'path' nor 'classes'" if self.path is None else "both 'path' and 'classes'"
            raise ValueError(f"found {found}, expected one of them")
        if self.classes is not None:
            names = [source.name for source in self.classes]
            doubled = sorted({name for name in names if names.count(name) > 1})
            if doubled:
                raise ValueError(f"found the class {doubled[0]!r} twice, expected each name once")
            if self.unlabelled is not None:
                raise ValueError("found 'unlabelled' with 'classes'; use 'mask' to ignore voxels")
            keys = ("dataset", "channel", "axes", "offset", "missing_chunks", "encoding", "reader")
            given = [key for key in keys if getattr(self, key) is not None]
            if given:
                raise ValueError(f"found '{given[0]}' beside 'classes'; give it in each class")
            if self.combine == "channels" and any(
                0 in source.values and len(source.values) > 1 for source in self.classes if source.values
            ):
                raise ValueError(
                    "found classes with values of 0 and of others, whose instances cannot be separate channels; set "
                    "combine: ids, or values: [0] alone"
                )
        elif self.combine != "ids":
            raise ValueError("found 'combine' without 'classes'")
        return self

    @property
    def sources(self) -> list[ArraySource]:
        """The arrays to read: one, or one per class."""
        if self.classes is not None:
            return list(self.classes)
        assert self.path is not None
        names = ("path", "dataset", "channel", "axes", "offset", "missing_chunks", "encoding", "reader")
        return [LabelArraySource(**{name: getattr(self, name) for name in names})]

    @property
    def num_channels(self) -> int | None:
        """Number of channels of the combined array; None for one id per voxel."""
        return len(self.classes) if self.classes is not None and self.combine == "channels" else None

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of ids (from 1) or channels (from 0); None without classes."""
        return [source.name for source in self.classes] if self.classes is not None else None


class SyntheticConfig(StrictModel):
    """Synthetic tissue: dense, branching neurites with membranes and mitochondria."""

    shape: Voxels
    """Number of voxels along (z, y, x) or (y, x)."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seed of the tissue. Volumes with different seeds have no voxel in common."""
    labels: Literal["neurites", "mitochondria", "classes", "channels"] = "neurites"
    """Content of the labels: one id per neurite; one id per mitochondrion; class ids (0 cytoplasm, 1 membrane, 2
    mitochondrion); or two channels, membrane and mitochondria."""
    neurite_diameter: Annotated[float, Field(gt=0)] = 116.0
    """Typical diameter of a neurite in nanometers; calibers vary between about half and twice this value."""
    noise: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Strength of the shot noise; 0 for none."""


class RoiConfig(StrictModel):
    """A box in world units."""

    offset: WorldNumbers
    """Lower corner, (z, y, x) or (y, x)."""
    shape: WorldNumbers
    """Edge lengths."""


class VolumeConfig(StrictModel):
    """A volume: an image with its labels and metadata."""

    synthetic: SyntheticConfig | None = None
    """Generate synthetic tissue, instead of ``raw``."""
    raw: ArraySource | None = None
    """The image."""
    labels: LabelsSource | None = None
    """Labels, on the voxel grid of the image; they may cover a part of it."""
    mask: ArraySource | None = None
    """Mask: voxels that are 0 are ignored in training and scores."""
    voxel_size: WorldNumbers | None = None
    """Edge lengths of a voxel, (z, y, x) or (y, x), in whole numbers of ``unit``; replaces the values in the files. Not
    needed if a file holds it: Zarr, N5 and HDF5 in the attributes ``resolution``, ``voxel_size`` or ``pixelResolution`` of
    the array (with ``offset`` or ``translate``, and ``units``), N5 in ``transform`` or in the attributes of the group,
    OME-Zarr in the scale and the axes of its multiscales, HDF5 also in ``element_size_um``, MRC in its header, DM3 and DM4
    in the calibration, BigDataViewer and webKnossos in the description of the image, TIFF in OME-XML or ImageJ's
    description. Attributes without a unit are nanometers. A scale of OME-Zarr without a unit, or in ``pixel`` or another
    unit that is not a length, is not used. Axes are named by ``axes``, ``_ARRAY_DIMENSIONS`` or ``axis_names``, in HDF5
    also by ``axistags`` of ilastik; arrays of other orders are transposed to z, y, x."""
    unit: Annotated[str, AfterValidator(normalize_unit)] = "nanometer"
    """Unit of all lengths of this volume: nanometer, angstrom, picometer, micrometer, ... A voxel size of
    (50, 4.6, 4.6) nm is written as (500, 46, 46) with ``unit: angstrom``."""
    offset: WorldNumbers | None = None
    """Lower corner of the first voxel; by default the offset in the file, otherwise 0."""
    roi: RoiConfig | None = None
    """The part of the volume to use; by default the whole volume."""
    chunk: Voxels | None = None
    """Shape in voxels of a block of the import, which is stored in one file: a shard in Zarr 3, a chunk in Zarr 2. By
    default it is derived from shape and voxel size."""
    in_place: bool = True
    """Read images and labels in Zarr (also zipped or at an address), N5 and Precomputed at their location, with the axes
    z, y, x in any order and any axes of a single point; ``false`` copies them."""

    @model_validator(mode="after")
    def _fits_together(self) -> "VolumeConfig":
        if (self.synthetic is None) == (self.raw is None):
            found = "neither 'raw' nor 'synthetic'" if self.raw is None else "both 'raw' and 'synthetic'"
            raise ValueError(f"found {found}, expected one of them")
        if self.synthetic is not None:
            for key in ("labels", "mask", "roi"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"found '{key}' beside 'synthetic', which generates its own labels for the whole volume"
                    )
        dims = {
            "voxel_size": self.voxel_size,
            "offset": self.offset,
            "roi.offset": self.roi.offset if self.roi else None,
            "roi.shape": self.roi.shape if self.roi else None,
            "chunk": self.chunk,
            "synthetic.shape": self.synthetic.shape if self.synthetic else None,
        }
        given = {key: len(value) for key, value in dims.items() if value is not None}
        if len(set(given.values())) > 1:
            text = ", ".join(f"{key} has {count}" for key, count in given.items())
            raise ValueError(f"found different numbers of axes: {text}")
        for key, values in (
            ("voxel_size", self.voxel_size),
            ("offset", self.offset),
            ("roi.offset", self.roi.offset if self.roi else None),
            ("roi.shape", self.roi.shape if self.roi else None),
        ):
            if values is not None:
                to_whole_coordinate(values, self.unit, key)
                if key in ("voxel_size", "roi.shape") and min(values) <= 0:
                    raise ValueError(f"found {key} {values}, expected positive numbers")
        return self

    @property
    def has_labels(self) -> bool:
        """True if the volume has labels."""
        return self.synthetic is not None or self.labels is not None

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the labels (ids from 1, or channels from 0); None for instances."""
        if self.synthetic is not None:
            names = {"mitochondria": ["mitochondria"], "neurites": None}
            return names.get(self.synthetic.labels, ["membrane", "mitochondria"])
        return self.labels.class_names if self.labels is not None else None

    @property
    def unlabelled(self) -> int | None:
        """Value of voxels without annotation in the stored labels; None if all voxels are annotated."""
        value = self.labels.unlabelled if self.labels is not None else None
        return None if value is None else value % 2**64
