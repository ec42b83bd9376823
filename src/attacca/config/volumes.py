"""What a user may write below ``volumes:``: where images and labels are, and what they show."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from attacca.config.base import StrictModel
from attacca.config.units import normalize_unit, to_whole_coordinate


def _location(value: Any) -> Path | str:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"found {value!r}, expected a file, a directory, a pattern or an s3:// address")
    return value if isinstance(value, str) and "://" in value else Path(value)


Location = Annotated[
    Path | str,
    PlainValidator(_location),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "path"}),
]
"""A local path, relative to the configuration file, or an address such as ``s3://bucket/key``."""


def _dimensions(values: list[Any]) -> list[Any]:
    if len(values) not in (2, 3):
        raise ValueError(f"found {len(values)} numbers, expected 2 (y, x) or 3 (z, y, x)")
    return values


WorldNumbers = Annotated[list[float], AfterValidator(_dimensions)]
Voxels = Annotated[list[Annotated[int, Field(gt=0)]], AfterValidator(_dimensions)]


class ArraySource(StrictModel):
    """One array: a stack of images, a file, or a data set in a container."""

    path: Location
    """A directory with one PNG or TIFF a section, a pattern such as ``raw/*.png``, a single image, a
    multi-page TIFF, an HDF5 file, a Zarr (format 2) or N5 container, or an address such as
    ``s3://bucket/volume.zarr``. Zarr format 3 cannot be read; the message of ``attacca check`` says how to convert it.
    Sections are taken in the natural order of their names, 2 before 10."""
    dataset: str | None = None
    """Name of the data set in an HDF5 file, Zarr or N5 container; not needed where there is only one."""
    channel: Annotated[int, Field(ge=0)] | None = None
    """Which channel to take where an image has several (0 is red in a color image)."""
    offset: WorldNumbers | None = None
    """Where the first voxel's corner lies, in the volume's unit; overrules the file and the volume's
    ``offset``."""


class ClassSource(ArraySource):
    """The voxels of one class, as a source of their own."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the class."""
    values: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    """The values in the source that mean this class; by default all but 0."""


class LabelsSource(StrictModel):
    """Ground truth: one array of ids, or one array for each of several classes."""

    path: Location | None = None
    """As for ``raw``: an array with one id in each voxel."""
    dataset: str | None = None
    """Name of the data set in an HDF5 file, Zarr or N5 container; not needed where there is only one."""
    channel: Annotated[int, Field(ge=0)] | None = None
    """Which channel to take where an image has several."""
    offset: WorldNumbers | None = None
    """Where the first voxel's corner lies, in the volume's unit; overrules the file and the volume's
    ``offset``."""
    unlabelled: Annotated[int, Field(ge=0)] | None = None
    """The value of voxels that nobody has labelled. Nothing is learnt or scored there. Leave it out where 0
    is background that was looked at."""
    classes: Annotated[list[ClassSource], Field(min_length=1)] | None = None
    """Instead of ``path``: classes in sources of their own. The first gets the id 1, the next 2; voxels of
    none are 0. Where classes overlap, the later one in the list wins."""
    combine: Literal["ids", "channels"] = "ids"
    """How ``classes`` become one array: ``ids`` for one class id in each voxel, ``channels`` for one channel
    for each class, which keeps the values of its source, so that touching instances stay apart."""

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
                raise ValueError("found 'unlabelled' with 'classes'; use a mask to leave voxels out")
            if self.dataset is not None or self.channel is not None or self.offset is not None:
                raise ValueError(
                    "found 'dataset', 'channel' or 'offset' beside 'classes'; give them in each class"
                )
        elif self.combine != "ids":
            raise ValueError("found 'combine' without 'classes'")
        return self

    @property
    def sources(self) -> list[ArraySource]:
        """The arrays that are read: one, or one for each class."""
        if self.classes is not None:
            return list(self.classes)
        assert self.path is not None
        return [ArraySource(path=self.path, dataset=self.dataset, channel=self.channel, offset=self.offset)]

    @property
    def num_channels(self) -> int | None:
        """Number of channels of the combined array; None for one id in each voxel."""
        return len(self.classes) if self.classes is not None and self.combine == "channels" else None

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in the order of ids (from 1) or channels (from 0)."""
        return [source.name for source in self.classes] if self.classes is not None else None


class SyntheticConfig(StrictModel):
    """Tissue that the workflow makes itself: dense, branching neurites with membranes and mitochondria."""

    shape: Voxels
    """Voxels along (z, y, x) or (y, x)."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Another seed makes other tissue; volumes of different seeds share no voxel."""
    labels: Literal["neurites", "mitochondria", "classes", "channels"] = "neurites"
    """What the labels hold: an id for each neurite; an id for each mitochondrion; class ids (0 cytoplasm, 1
    membrane, 2 mitochondrion); or two channels, membrane and mitochondria."""
    neurite_diameter: Annotated[float, Field(gt=0)] = 116.0
    """Typical diameter of a neurite in nanometres; calibres vary between about half and twice of it."""
    noise: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Strength of the shot noise; 0 for none."""


class RoiConfig(StrictModel):
    """A box in world units."""

    offset: WorldNumbers
    """Corner nearest to the origin, (z, y, x) or (y, x)."""
    shape: WorldNumbers
    """Edge lengths."""


class VolumeConfig(StrictModel):
    """A volume: an image, and what is known about it."""

    synthetic: SyntheticConfig | None = None
    """Make synthetic tissue. Either this or ``raw``."""
    raw: ArraySource | None = None
    """The image."""
    labels: LabelsSource | None = None
    """Ground truth, where there is some; on the voxel grid of the image, in all or in a part of it."""
    mask: ArraySource | None = None
    """Voxels that count: 0 where nothing shall be learnt or scored."""
    voxel_size: WorldNumbers | None = None
    """Edge lengths of a voxel, (z, y, x) or (y, x), in whole numbers of ``unit``; it overrules the files. Not needed
    where they say it: Zarr, N5 and HDF5 in the attributes ``resolution``, ``voxel_size`` or ``pixelResolution`` of the
    array (with ``offset`` or ``translate``, and ``units``), OME-Zarr in the scale and the axes of its multiscales,
    ilastik's HDF5 in ``element_size_um``, TIFF in OME-XML or ImageJ's description. Axes are named by ``axes``,
    ``_ARRAY_DIMENSIONS`` or ``axis_names``; arrays marked x, y, z are used in that order, in which all lists over
    axes are then given."""
    unit: Annotated[str, AfterValidator(normalize_unit)] = "nanometer"
    """Unit of all lengths of this volume: nanometer, angstrom, picometer, micrometer, ... A voxel size of
    (50, 4.6, 4.6) nm is written as (500, 46, 46) with ``unit: angstrom``."""
    offset: WorldNumbers | None = None
    """Where the first voxel's corner lies; 0 by default, or what the file says."""
    roi: RoiConfig | None = None
    """Use this part of the volume only."""
    chunk: Voxels | None = None
    """Voxels of a stored chunk, which is also the block of the import; chosen from shape and voxel size by
    default."""
    in_place: bool = True
    """Read Zarr images and labels where they stand; ``false`` copies them."""

    @model_validator(mode="after")
    def _fits_together(self) -> "VolumeConfig":
        if (self.synthetic is None) == (self.raw is None):
            found = "neither 'raw' nor 'synthetic'" if self.raw is None else "both 'raw' and 'synthetic'"
            raise ValueError(f"found {found}, expected one of them")
        if self.synthetic is not None:
            for key in ("labels", "mask", "roi"):
                if getattr(self, key) is not None:
                    raise ValueError(
                        f"found '{key}' beside 'synthetic', which makes its own labels at full size"
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
        """Whether there is ground truth."""
        return self.synthetic is not None or self.labels is not None

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes that the labels hold (ids from 1, or channels from 0); None for instances."""
        if self.synthetic is not None:
            names = {"mitochondria": ["mitochondria"], "neurites": None}
            return names.get(self.synthetic.labels, ["membrane", "mitochondria"])
        return self.labels.class_names if self.labels is not None else None

    @property
    def unlabelled(self) -> int | None:
        """Value of voxels that nobody has labelled, if there are such."""
        return self.labels.unlabelled if self.labels is not None else None
