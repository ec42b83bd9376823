"""From volumes to batches: one gunpowder request for each sample, seeded by (seed, iteration, number in the
batch)."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate, Roi
from gunpowder import SimpleAugment

from attacca.architectures.intensity import Intensity, scale_to_network
from attacca.config.training import AugmentationConfig, SamplingConfig, TrainingConfig
from attacca.errors import AttaccaError, ConfigurationError, MissingInputError, TrainingError, VolumeError
from attacca.gp import (
    DaCapoTargetFilter,
    ElasticAugment,
    GammaAugment,
    IntensityAugment,
    NoiseAugment,
    RejectIfEmpty,
    SampleLocation,
    SectionDefects,
    SectionShift,
    ToUnit,
)
from attacca.gp.reject_if_empty import RejectIfMasked
from attacca.gp.seeds import mix_seed
from attacca.training.job import TrainingVolume
from attacca.training.volume_data import VolumeData

_ERROR_LINE = re.compile(r"attacca\.errors\.(\w+): (.+)")

RAW, LABELS, MASK = gp.ArrayKey("RAW"), gp.ArrayKey("LABELS"), gp.ArrayKey("MASK")
TARGET, WEIGHT = gp.ArrayKey("TARGET"), gp.ArrayKey("WEIGHT")

Batch = dict[str, np.ndarray]
"""``raw``, ``target`` and ``weight``: (batch, channels, spatial) float32."""


@dataclass(frozen=True)
class SampleSpec:
    """All that decides what the samples are; a loader process gets nothing else.

    Args:
        volumes: where samples come from.
        task: configuration of the task, whose predictor makes targets.
        training: augmentation, sampling, batch size.
        input_shape, output_shape: of the network, in voxels.
        intensity: range of the raw data.
        seed: source of every random draw.
        class_counts: from which weights are balanced; None: running counts, for estimating them.
        augment: False for validation.
    """

    volumes: tuple[TrainingVolume, ...]
    task: Any
    training: TrainingConfig
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    intensity: Intensity
    seed: int
    class_counts: Any = None
    augment: bool = True


class VolumeProvider(gp.BatchProvider):
    """Source of a volume's raw data, labels, mask and stored targets, all of them unbounded."""

    def __init__(self, data: VolumeData) -> None:
        self.data = data

    def setup(self) -> None:
        everywhere = Roi(self.data.raw.roi.offset, Coordinate((None,) * self.data.raw.dims))
        arrays = {RAW: True, LABELS: False, MASK: False}
        if self.data.target is not None:
            arrays |= {TARGET: True, WEIGHT: True}
        for key, interpolatable in arrays.items():
            # No dtype: volumes with different ones may be mixed.
            self.provides(key, gp.ArraySpec(everywhere, self.data.raw.voxel_size, interpolatable))

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        batch = gp.Batch()
        labels: tuple[Roi, np.ndarray] | None = None
        for key, wanted in request.array_specs.items():
            roi = wanted.roi
            if key == RAW:
                data = self.data.read_raw(roi)
            elif key == LABELS:
                data = self.data.read_labels(roi)
                labels = (roi, data)
            elif key == MASK:
                known = labels[1] if labels is not None and labels[0] == roi else None
                data = self.data.read_mask(roi, known)
            else:
                stored = self.data.target if key == TARGET else self.data.weight
                data = VolumeData.read_stored(stored, roi)  # type: ignore[arg-type]
            spec = self.spec[key].copy()
            spec.roi = roi
            batch[key] = gp.Array(data, spec)
        return batch


class SamplePipeline:
    """Batches by their iteration. The same spec gives the same batch, in whichever process and order.

    Args:
        spec: what samples are.

    Raises:
        ConfigurationError: volumes, network and augmentation do not fit each other.
    """

    def __init__(self, spec: SampleSpec) -> None:
        from attacca.tasks import create_task

        self.spec = spec
        self.stored_targets = spec.training.targets == "from_target_stage"
        self.volumes = [VolumeData(volume, self.stored_targets) for volume in spec.volumes]
        first = self.volumes[0].raw
        for volume in self.volumes[1:]:
            if volume.raw.voxel_size != first.voxel_size or volume.raw.dims != first.dims:
                raise ConfigurationError(
                    f"volumes {self.volumes[0].volume.name} and {volume.volume.name} have voxels of "
                    f"{tuple(first.voxel_size)} and {tuple(volume.raw.voxel_size)}: one network learns from "
                    f"equal "
                    "voxels; resample one of them"
                )
            if volume.num_raw_channels != self.volumes[0].num_raw_channels:
                raise ConfigurationError(
                    f"volumes {self.volumes[0].volume.name} and {volume.volume.name} have "
                    f"{self.volumes[0].num_raw_channels} and {volume.num_raw_channels} channels"
                )
        self.voxel_size = first.voxel_size
        self.predictor = create_task(spec.task.learned_task).predictor
        self.window, self.input_roi = sample_rois(spec.input_shape, spec.output_shape, self.voxel_size)
        self.target_filter: DaCapoTargetFilter | None = None
        self._pipeline = self._build()
        self._pipeline.setup()

    def _build(self) -> Any:
        training = self.spec.training
        chains = tuple(self._volume_chain(volume) for volume in self.volumes)
        weights = [training.sampling.get(v.volume.name, SamplingConfig()).weight for v in self.volumes]
        pipeline = chains + gp.RandomProvider(weights) if len(chains) > 1 else chains[0]
        if self.spec.augment:
            for node in augmentations(training.augmentation, self.voxel_size):
                pipeline = pipeline + node
        if not self.stored_targets:
            self.target_filter = DaCapoTargetFilter(
                self.predictor, LABELS, TARGET, WEIGHT, MASK, class_counts=self.spec.class_counts
            )
            pipeline = pipeline + self.target_filter
        return pipeline

    def _volume_chain(self, volume: VolumeData) -> Any:
        training = self.spec.training
        name = volume.volume.name
        sampling = training.sampling.get(name, SamplingConfig())
        region = volume.labelled_roi
        if sampling.roi is not None and self.spec.augment:
            wanted = Roi(sampling.roi.offset, sampling.roi.shape).snap_to_grid(self.voxel_size, "grow")
            region = region.intersect(wanted)
            if region.empty:
                raise ConfigurationError(
                    f"training.sampling.{name}.roi: {wanted} has nothing in common with the labels at "
                    f"{volume.labelled_roi}"
                )
        points = read_points(sampling.points, region, name) if sampling.points and self.spec.augment else None
        chain = VolumeProvider(volume) + SampleLocation(
            [region], self.window, self.voxel_size, points, sampling.point_probability
        )
        if training.min_masked > 0:
            chain = chain + RejectIfMasked(MASK, training.min_masked, self.window, name=name)
        if training.reject_empty > 0 and self.spec.augment:
            chain = chain + RejectIfEmpty(LABELS, training.reject_empty, name=name)
        return chain + ToUnit(RAW, self.spec.intensity.minimum, self.spec.intensity.maximum)

    def sample(self, seed: int) -> Batch:
        """One sample (channels, spatial) for any seed."""
        request = gp.BatchRequest(random_seed=seed)
        request[RAW] = gp.ArraySpec(roi=self.input_roi)
        request[TARGET] = gp.ArraySpec(roi=self.window)
        request[WEIGHT] = gp.ArraySpec(roi=self.window)
        if self.stored_targets:
            request[MASK] = gp.ArraySpec(roi=self.window)
        try:
            batch = self._pipeline.request_batch(request)
        except Exception as error:
            raise _plain_error(error) from error
        weight = batch[WEIGHT].data
        if self.stored_targets:
            weight = weight * (batch[MASK].data > 0)
        return {
            "raw": scale_to_network(batch[RAW].data),
            "target": batch[TARGET].data.astype(np.float32, copy=False),
            "weight": np.broadcast_to(weight, batch[TARGET].data.shape).astype(np.float32),
        }

    def batch(self, iteration: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The batch of an iteration; of several processes that train together, that of number ``rank``."""
        size = self.spec.training.batch_size
        samples = [
            self.sample(mix_seed(self.spec.seed, iteration, rank * size + number)) for number in range(size)
        ]
        # Mirrored and transposed samples have strides of their own, and the order of sums would follow them.
        return {
            name: np.ascontiguousarray(np.stack([sample[name] for sample in samples])) for name in samples[0]
        }

    def estimate_class_counts(self, samples: int = 16) -> Any:
        """Counts of classes in a fixed number of random samples, in the form that predictors use; None where
        the predictor does not count."""
        if self.target_filter is None:
            return None
        self.target_filter.moving_class_counts = None
        for number in range(samples):
            self.sample(mix_seed(self.spec.seed, -1 - number))
        return plain_counts(self.target_filter.moving_class_counts)

    def close(self) -> None:
        """Take the pipeline down."""
        self._pipeline.internal_teardown()


def plain_counts(counts: Any) -> Any:
    """Class counts as Python's own types, which a checkpoint may hold; from JSON, too, where keys are text.

    Whole numbers stay whole, so that counts that were summed in any order are equal.
    """
    if isinstance(counts, dict):
        return {int(key): plain_counts(value) for key, value in counts.items()}
    if isinstance(counts, np.ndarray):
        return plain_counts(counts.tolist())
    if isinstance(counts, list):
        return [plain_counts(value) for value in counts]
    if isinstance(counts, tuple):
        return tuple(plain_counts(value) for value in counts)
    return counts.item() if isinstance(counts, np.generic) else counts


def sample_rois(
    input_shape: Sequence[int], output_shape: Sequence[int], voxel_size: Coordinate
) -> tuple[Roi, Roi]:
    """Where the output and the input of a sample lie relative to each other: the output begins at 0."""
    margin = []
    for size, out in zip(input_shape, output_shape, strict=True):
        if (size - out) % 2:
            raise ConfigurationError(
                f"the network makes {list(output_shape)} of {list(input_shape)}: it must take away as much "
                f"on both sides"
            )
        margin.append((size - out) // 2)
    window = Roi((0,) * len(margin), Coordinate(output_shape) * voxel_size)
    grow = Coordinate(margin) * voxel_size
    return window, window.grow(grow, grow)


def augmentations(config: AugmentationConfig, voxel_size: Coordinate) -> list[gp.BatchFilter]:
    """The nodes that ``config`` asks for, in the order in which they work.

    Raises:
        ConfigurationError: a part does not suit the volume.
    """
    nodes: list[gp.BatchFilter] = []
    dims = voxel_size.dims
    if config.elastic is not None:
        elastic = config.elastic
        spacing = _for_each_axis(elastic.spacing, dims, "elastic.spacing")
        displacement = _for_each_axis(elastic.displacement, dims, "elastic.displacement")
        if elastic.uniform_3d_rotation and (dims != 3 or len(set(voxel_size)) > 1):
            raise ConfigurationError(
                "training.augmentation.elastic.uniform_3d_rotation: needs three axes of equal voxel size, "
                "these are "
                f"{tuple(voxel_size)}"
            )
        nodes.append(
            ElasticAugment(
                spacing,
                [size * step for size, step in zip(displacement, voxel_size)],
                [math.radians(angle) for angle in elastic.rotation],
                subsample=elastic.subsample,
                augmentation_probability=elastic.probability,
                uniform_3d_rotation=elastic.uniform_3d_rotation,
            )
        )
    if config.sections is not None and (config.sections.slip or config.sections.shift):
        sections = config.sections
        nodes.append(SectionShift(sections.slip, sections.shift, sections.max_shift))
    if config.simple is not None:
        mirror = _axes(config.simple.mirror, dims, "simple.mirror")
        transpose = _axes(config.simple.transpose, dims, "simple.transpose")
        if config.simple.transpose is True:
            transpose = exchangeable_axes(voxel_size)
        elif len({voxel_size[axis] for axis in transpose}) > 1:
            raise ConfigurationError(
                f"training.augmentation.simple.transpose: axes {list(transpose)} have voxels of "
                f"{[voxel_size[axis] for axis in transpose]}: exchange axes of equal voxel size only"
            )
        nodes.append(SimpleAugment(mirror_only=mirror, transpose_only=transpose))
    if config.gamma is not None:
        nodes.append(GammaAugment(RAW, *config.gamma.range, p=config.gamma.probability))
    if config.intensity is not None:
        part = config.intensity
        nodes.append(IntensityAugment(RAW, part.scale, part.shift, part.per_section, p=part.probability))
    if config.noise is not None:
        nodes.append(NoiseAugment(RAW, config.noise.sigma, p=config.noise.probability))
    if config.sections is not None and (config.sections.missing or config.sections.low_contrast):
        sections = config.sections
        nodes.append(SectionDefects(RAW, sections.missing, sections.low_contrast, sections.contrast_scale))
    return nodes


def exchangeable_axes(voxel_size: Coordinate) -> list[int]:
    """The largest group of axes of equal voxel size, later axes first where groups are equally large."""
    groups: dict[int, list[int]] = {}
    for axis, size in enumerate(voxel_size):
        groups.setdefault(size, []).append(axis)
    return max(groups.values(), key=lambda axes: (len(axes), axes))


def read_points(path: Path, region: Roi, volume: str) -> np.ndarray:
    """Sample points within ``region``: (number, axes), world units.

    Raises:
        MissingInputError: there is no such file.
        ConfigurationError: it is no table of points, or none lies within the region.
    """
    if not path.is_file():
        raise MissingInputError(f"training.sampling.{volume}.points: there is no file {path}")
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.split("#")[0].replace(",", " ").split()
        if not text:
            continue
        try:
            row = [float(value) for value in text]
        except ValueError:
            row = []
        if len(row) != region.dims:
            raise ConfigurationError(
                f"{path}, line {number}: found '{line.strip()}', expected {region.dims} numbers in world "
                f"units "
                f"({', '.join('zyx'[-region.dims :])})"
            )
        rows.append(row)
    points = np.array(rows, dtype=float).reshape(-1, region.dims)
    inside = ((points >= np.array(region.begin)) & (points < np.array(region.end))).all(axis=1)
    if not inside.any():
        raise ConfigurationError(
            f"{path}: none of its {len(points)} points lies within the labels of volume {volume} at "
            f"{region}; "
            "points are in world units, not voxels"
        )
    return points[inside]


def _for_each_axis(value: float | tuple[float, ...], dims: int, key: str) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,) * dims
    if len(values) != dims:
        raise ConfigurationError(
            f"training.augmentation.{key}: found {len(values)} numbers, expected one, or {dims} (one for "
            f"each axis)"
        )
    return values


def _axes(value: bool | tuple[int, ...], dims: int, key: str) -> list[int]:
    if isinstance(value, bool):
        return list(range(dims)) if value else []
    if any(not 0 <= axis < dims for axis in value):
        raise ConfigurationError(
            f"training.augmentation.{key}: found axes {list(value)}, expected numbers from 0 to {dims - 1}"
        )
    return sorted(set(value))


def _plain_error(error: Exception) -> AttaccaError:
    """The error for users within gunpowder's, which wraps one message for each node of the pipeline."""
    text = str(error)
    for line in reversed(text.splitlines()):
        match = _ERROR_LINE.match(line.strip())
        if match:
            kinds = {"ConfigurationError": ConfigurationError, "VolumeError": VolumeError}
            return kinds.get(match[1], TrainingError)(match[2])
    return TrainingError(f"a sample could not be made: {text}")
