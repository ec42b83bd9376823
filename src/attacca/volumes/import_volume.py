"""Import of a volume: creation of its arrays, import of blocks, pyramids and metadata."""

import logging
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Any, Literal, Protocol

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import LocalArrayIdentifier, join_path
from attacca.arrays.links import read_link, write_link
from attacca.arrays.ome_display import write_image_label, write_intensity_windows, write_root_metadata
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.arrays.percentiles import measure_percentiles
from attacca.arrays.pyramid import build_pyramid
from attacca.arrays.storage import delete
from attacca.arrays.zarr_array import ZarrArray
from attacca.config.volumes import ClassSource, VolumeConfig
from attacca.errors import MissingInputError, VolumeError
from attacca.kernel_compilation import announce_compilation
from attacca.layout import VOLUME_IMAGES, VOLUME_LABELS
from attacca.volumes.readers.image_header import explain_damage
from attacca.volumes.volume_plan import PlannedArray, VolumePlan, plan_volume

logger = logging.getLogger(__name__)


class HasWriteRoi(Protocol):
    """A block with the region that it writes."""

    @property
    def write_roi(self) -> Roi: ...


def prepare_volume(config: VolumeConfig, container: str) -> VolumePlan:
    """Create the empty arrays of a volume (see ``attacca.layout.VOLUME_IMAGES``), or links to arrays used in place.

    Existing arrays with equal metadata keep their data; others are replaced.

    Args:
        config: the volume.
        container: path or URL of the volume's OME-Zarr container.

    Raises:
        VolumeError, MissingInputError: a source does not exist or contradicts the configuration.
    """
    plan = plan_volume(config)
    for name in ("raw", "labels", "mask"):
        array = plan.arrays.get(name)
        group = VOLUME_IMAGES[name]
        linked = read_link(container, group) is not None
        if array is None or array.link is not None or linked:
            delete(join_path(container, group))
        if array is not None and array.link is not None:
            write_link(container, group, array.link)
        elif array is not None:
            created = _create_array(plan, array, container)
            _write_class_names(created, config, name)
            write_multiscale_metadata(join_path(container, group), ["s0"], name=name)
    return plan


class ImportBlocks:
    """Block function that imports one block of a volume, for ``attacca.blockwise.run_blocks``.

    A block writes those chunks of each array whose lower corner is in the block. No two blocks write the same chunk,
    even if the chunk grids of labels and image differ.

    Args:
        config: the volume.
        container: as for ``prepare_volume``, which must have run.
    """

    def __init__(self, config: VolumeConfig, container: str) -> None:
        self.config = config
        self.container = container
        self._plan: VolumePlan | None = None
        self._arrays: dict[str, ZarrArray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_plan": None, "_arrays": {}}

    def open(self) -> None:
        """Open sources and arrays, once per process."""
        self._plan = plan_volume(self.config)
        self._arrays = {
            name: ZarrArray.open_from_array_identifier(
                LocalArrayIdentifier(self.container, f"{VOLUME_IMAGES[name]}/s0"), mode="a"
            )
            for name, array in self._plan.arrays.items()
            if array.link is None
        }

    def __call__(self, block: HasWriteRoi) -> None:
        if self._plan is None:
            self.open()
        assert self._plan is not None
        for name, array in self._arrays.items():
            for roi in _chunks_with_corner_in(array, block.write_roi):
                array[roi] = import_block(self.config, self._plan, self._plan.arrays[name], roi)


def import_block(config: VolumeConfig, plan: VolumePlan, array: PlannedArray, roi: Roi) -> np.ndarray:
    """Read voxels of one array of a volume and convert them to their stored form.

    Args:
        config: the volume.
        plan: its plan.
        array: the array of the plan.
        roi: world units; contained in the array.

    Raises:
        VolumeError: the voxels are not a valid image (not finite) or not valid labels (negative).
    """
    if config.synthetic is not None:
        begin, shape = tuple(roi.begin), tuple(roi.shape)
        return _generate_tissue(config.model_dump_json(), begin, shape)[array.name].astype(
            array.dtype, copy=False
        )
    parts = []
    for placed in array.sources:
        begin = (roi.begin - placed.roi.begin) / plan.voxel_size
        with explain_damage(placed.source.name, f"cannot be read in {roi}"):
            parts.append(placed.source.read(tuple(begin), tuple(begin + roi.shape / plan.voxel_size)))
    if array.name == "raw":
        with np.errstate(over="ignore"):
            data = parts[0].astype(array.dtype, copy=False)
        if data.dtype.kind == "f" and not np.isfinite(data).all():
            _check_finite(parts[0], array, roi, "gray values")
            raise VolumeError(
                f"{array.sources[0].source.name} holds values up to {np.abs(parts[0]).max():.4g}, beyond the range of "
                f"{data.dtype}, in {roi}",
                fix="scale the gray values in the file",
            )
        return data
    if array.name == "mask":
        _check_finite(parts[0], array, roi, "0 outside and 1 inside the mask")
        return (parts[0] != 0).astype(np.uint8)
    declared = config.labels.unlabelled if config.labels is not None else None
    for part, placed in zip(parts, array.sources):
        if part.dtype.kind != "i" or not part.size or part.min() >= 0:
            continue
        negative = part[(part < 0) & (part != declared)]
        if negative.size:
            raise VolumeError(
                f"{placed.source.name} holds the negative label {negative.min()}, in {roi}",
                fix=f"if it marks voxels without annotation, set unlabelled: {negative.min()} under labels; otherwise "
                "replace it in the file by ids of 0 or more",
            )
    return _combine_classes(array, parts)


def _check_finite(values: np.ndarray, array: PlannedArray, roi: Roi, replacement: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise VolumeError(
            f"{array.sources[0].source.name} holds values that are not finite (NaN or infinite), in {roi}",
            fix=f"replace them in the file by {replacement}",
        )


# Image and labels of a block are generated together and requested one after the other.
@lru_cache(maxsize=1)
def _generate_tissue(
    config_json: str, begin: tuple[int, ...], shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    # deferred: numba takes a second to import
    from attacca.volumes.tissue.tissue import tissue_block, tissue_labels

    announce_compilation("generate tissue")
    config = VolumeConfig.model_validate_json(config_json)
    block = tissue_block(config, Roi(begin, shape))
    return {"raw": block["raw"], "labels": tissue_labels(config, block)}


def _combine_classes(array: PlannedArray, parts: list[np.ndarray]) -> np.ndarray:
    members = []
    for part, placed in zip(parts, array.sources):
        values = placed.config.values if isinstance(placed.config, ClassSource) else None
        members.append(part if values is None else _select_values(part, values))
    if not isinstance(array.sources[0].config, ClassSource):
        return members[0].astype(array.dtype, copy=False)
    if array.num_channels is not None:
        return np.stack([member.astype(array.dtype, copy=False) for member in members])
    combined = np.zeros(members[0].shape, array.dtype)
    for number, member in enumerate(members, start=1):
        combined[member != 0] = number
    return combined


def _select_values(part: np.ndarray, values: list[int]) -> np.ndarray:
    """Return the voxels with one of some values, and 0 elsewhere. If 0 is one of the values, its voxels become 1.

    The comparison is exact: NumPy would compare ids of unsigned and signed 64-bit integers as floating-point numbers.
    """
    part = part.astype(np.uint8) if part.dtype.kind == "b" else part
    largest = np.iinfo(part.dtype).max
    is_member = np.isin(part, np.array([value for value in values if value <= largest], dtype=part.dtype))
    return is_member.astype(part.dtype) if 0 in values else np.where(is_member, part, 0)


def finish_volume(
    config: VolumeConfig,
    container: str,
    num_workers: int = 1,
    scales: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """Check the labels, build pyramids and write OME metadata, after all blocks have been imported.

    A warning is logged if the labels hold a single value, such as 0: an example without objects.

    Args:
        config: the volume.
        container: as for ``prepare_volume``.
        num_workers: number of threads.
        scales: names of the scales of each array that is not used in place; None to build them.

    Returns:
        For each array its ROI, shape, dtype, voxel size, unit, and whether it is used in place; for the image its
        percentiles.

    Raises:
        VolumeError: the mask is empty, or all labels are unlabelled.
    """
    plan = plan_volume(config)
    facts: dict[str, Any] = {}
    for name, planned in plan.arrays.items():
        array = ZarrArray.open_from_array_identifier(
            LocalArrayIdentifier(container, f"{VOLUME_IMAGES[name]}/s0")
        )
        if name in ("labels", "mask"):
            _check_values(array, config.unlabelled if name == "labels" else None, name, planned)
        own_scales = ["s0"]
        if planned.link is None:
            group = join_path(container, VOLUME_IMAGES[name])
            if scales is not None:
                own_scales = scales[name]
            else:
                kind: Literal["raw", "labels"] = "raw" if name == "raw" else "labels"
                own_scales = build_pyramid(group, kind=kind, num_workers=num_workers, name=name)
            if name == "raw":
                write_intensity_windows(group, own_scales)
            else:
                write_image_label(group, (config.class_names or []) if name == "labels" else [])
        facts[name] = {
            "dataset": f"{VOLUME_IMAGES[name]}/s0",
            "offset": [int(value) for value in array.roi.begin],
            "shape": [int(value) for value in array.roi.shape / array.voxel_size],
            "channels": array.num_channels,
            "voxel_size": [int(value) for value in array.voxel_size],
            "unit": array.unit,
            "dtype": str(array.dtype),
            "in_place": planned.link is not None,
            "scales": own_scales,
        }
        if name == "raw":
            facts[name]["percentiles"] = measure_percentiles(array)
    write_root_metadata(container, list(VOLUME_LABELS.values()))
    return facts


def _create_array(plan: VolumePlan, array: PlannedArray, container: str) -> ZarrArray:
    axes = [*(["c"] if array.num_channels is not None else []), *plan.axes]

    def create(overwrite: bool) -> ZarrArray:
        return ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(container, f"{VOLUME_IMAGES[array.name]}/s0"),
            axes,
            array.roi,
            array.num_channels,
            plan.voxel_size,
            array.dtype,
            write_size=plan.block_size,
            overwrite=overwrite,
            unit=plan.unit,
        )

    try:
        return create(overwrite=False)
    except (VolumeError, MissingInputError):
        # The existing array came from another configuration. Results are replaced; sources are never changed.
        return create(overwrite=True)


def _write_class_names(array: ZarrArray, config: VolumeConfig, name: str) -> None:
    if name == "labels":
        extra = {"classes": config.class_names, "unlabelled": config.unlabelled}
        array.add_metadata({"attacca": {**array.attrs.get("attacca", {}), **extra}})


def _chunks_with_corner_in(array: ZarrArray, roi: Roi) -> Iterator[Roi]:
    size, origin = array.chunk_size, array.roi.begin
    ranges = []
    for begin, end, step, first, last in zip(roi.begin, roi.end, size, origin, array.roi.end):
        low = max(0, -((first - begin) // step))
        high = -((first - min(end, last)) // step)
        ranges.append(range(low, high))
    for index in product(*ranges):
        yield Roi(origin + Coordinate(index) * size, size).intersect(array.roi)


def _check_values(array: ZarrArray, unlabelled: int | None, name: str, planned: PlannedArray) -> None:
    """Raise for labels without annotation or an empty mask; warn about labels with a single value."""
    step = array.chunk_size
    counts = [range(math.ceil(n / s)) for n, s in zip(array.roi.shape, step)]
    ignored = unlabelled or 0
    empty, low, high = True, math.inf, -math.inf
    for index in product(*counts):
        roi = Roi(array.roi.begin + Coordinate(index) * step, step).intersect(array.roi)
        values = array[roi]
        empty = empty and not (values != ignored).any()
        values = values if unlabelled is None else values[values != unlabelled]
        if values.size:
            low, high = min(low, int(values.min())), max(high, int(values.max()))
        if not empty and (low < high or name == "mask"):
            return
    source = ", ".join(str(placed.source.name) for placed in planned.sources) or "the synthetic volume"
    if empty and (name == "mask" or unlabelled is not None):
        raise VolumeError(
            f"the {name} of {source} hold only {ignored} in the volume's region; check path, dataset, "
            "roi and offset"
        )
    if name == "labels":
        logger.warning(
            "the labels of %s hold only %d%s in the volume's region: %s; check path, dataset, roi and 'unlabelled'",
            source,
            low,
            f" and the unlabelled {unlabelled}" if unlabelled is not None else "",
            "no object is annotated" if low == 0 else "a network cannot be trained on them",
        )
