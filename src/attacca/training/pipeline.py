"""Pipeline from volumes to batches: one gunpowder request per sample, seeded by (seed, iteration, number in the batch)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.architectures.intensity import IntensityRule, scale_to_network
from attacca.config.task import TaskConfig
from attacca.config.training import SamplingConfig, TrainingConfig
from attacca.config.units import find_largest_difference
from attacca.errors import AttaccaError, ConfigurationError, TrainingError, VolumeError
from attacca.gp import DaCapoTargetFilter, RejectIfEmpty, SampleLocation, ToUnit
from attacca.gp.reject_if_empty import RejectIfMasked
from attacca.gp.seeds import mix_seed
from attacca.tasks import create_task
from attacca.training.augmentations import create_augmentations
from attacca.training.class_counts import convert_to_plain_counts
from attacca.training.job import TrainingVolume
from attacca.training.object_points import ObjectPoints
from attacca.training.sample_points import read_points
from attacca.training.volume_data import VolumeData

_ERROR_LINE = re.compile(r"attacca\.errors\.(\w+): (.+)")

RAW, LABELS, MASK = gp.ArrayKey("RAW"), gp.ArrayKey("LABELS"), gp.ArrayKey("MASK")
TARGET, WEIGHT = gp.ArrayKey("TARGET"), gp.ArrayKey("WEIGHT")

Batch = dict[str, np.ndarray]
"""``raw``, ``target`` and ``weight``: (batch, channels, *spatial), float32."""


@dataclass(frozen=True)
class SampleSpec:
    """Specification of the samples, the only input of a loader process.

    Args:
        volumes: sources of samples.
        task: configuration of the task, whose predictor creates targets.
        training: augmentation, sampling, batch size.
        input_shape, output_shape: of the network, in voxels.
        intensity: range of the raw data, or percentiles of each volume.
        seed: source of all random draws.
        class_counts: counts from which weights are balanced; None for running counts, to estimate them.
        augment: False for validation.
        object_points: positions of objects in volumes whose samples are placed at objects.
    """

    volumes: tuple[TrainingVolume, ...]
    task: TaskConfig
    training: TrainingConfig
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    intensity: IntensityRule
    seed: int
    class_counts: Any = None
    augment: bool = True
    object_points: tuple[ObjectPoints, ...] = field(default=(), compare=False)


class VolumeProvider(gp.BatchProvider):
    """Source of a volume's raw data, labels, mask and stored targets, all unbounded.

    Args:
        data: the arrays of the volume.
    """

    def __init__(self, data: VolumeData) -> None:
        self.data = data

    def setup(self) -> None:
        everywhere = Roi(self.data.raw.roi.offset, Coordinate((None,) * self.data.raw.dims))
        arrays = {RAW: True, LABELS: False, MASK: False}
        if self.data.target is not None:
            arrays |= {TARGET: True, WEIGHT: True}
        for key, interpolatable in arrays.items():
            # Without dtype: volumes of different dtypes may be combined.
            self.provides(key, gp.ArraySpec(everywhere, self.data.raw.voxel_size, interpolatable))

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        batch = gp.Batch()
        labels: tuple[Roi, np.ndarray] | None = None
        for key, request_spec in request.array_specs.items():
            roi = request_spec.roi
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
    """Batches by iteration; independent of the process and of the order in which they are requested.

    Args:
        spec: specification of the samples.

    Raises:
        ConfigurationError: volumes, network and augmentation do not fit each other.
    """

    def __init__(self, spec: SampleSpec) -> None:
        self.spec = spec
        self.stored_targets = spec.training.targets == "from_target_stage"
        self.volumes = [VolumeData(spec.volumes[0], self.stored_targets)]
        first = self.volumes[0].raw
        for given in spec.volumes[1:]:
            volume = VolumeData(given, self.stored_targets)
            size, tolerance = volume.raw.voxel_size, spec.training.voxel_size_tolerance
            if size.dims != first.dims or find_largest_difference(size, first.voxel_size) > tolerance:
                raise ConfigurationError(
                    f"volumes {self.volumes[0].volume.name} and {given.name} have voxels of {tuple(first.voxel_size)} and "
                    f"{tuple(size)}: a network needs equal voxels; resample one of them, or treat similar ones as equal "
                    "(training.voxel_size_tolerance)"
                )
            if size != first.voxel_size:
                volume = VolumeData(given, self.stored_targets, first.voxel_size)
            self.volumes.append(volume)
            if volume.num_raw_channels != self.volumes[0].num_raw_channels:
                raise ConfigurationError(
                    f"volumes {self.volumes[0].volume.name} and {volume.volume.name} have "
                    f"{self.volumes[0].num_raw_channels} and {volume.num_raw_channels} channels: a network needs equal "
                    "numbers; train from one of them"
                )
        self.voxel_size = first.voxel_size
        self.predictor = create_task(spec.task.learned_task).predictor
        self.window, self.input_roi = find_sample_rois(spec.input_shape, spec.output_shape, self.voxel_size)
        self.target_filter: DaCapoTargetFilter | None = None
        self._pipeline = self._build()
        self._pipeline.setup()

    def _build(self) -> Any:
        training = self.spec.training
        sources = tuple(self._create_source(volume) for volume in self.volumes)
        weights = [training.sampling.get(v.volume.name, SamplingConfig()).weight for v in self.volumes]
        pipeline = sources + gp.RandomProvider(weights) if len(sources) > 1 else sources[0]
        if self.spec.augment:
            for node in create_augmentations(training.augmentation, self.voxel_size, RAW):
                pipeline = pipeline + node
        if not self.stored_targets:
            self.target_filter = DaCapoTargetFilter(
                self.predictor, LABELS, TARGET, WEIGHT, MASK, class_counts=self.spec.class_counts
            )
            pipeline = pipeline + self.target_filter
        return pipeline

    def _create_source(self, volume: VolumeData) -> Any:
        training = self.spec.training
        name = volume.volume.name
        sampling = training.sampling.get(name, SamplingConfig())
        region = volume.labeled_roi
        if sampling.roi is not None and self.spec.augment:
            configured = volume.convert_roi(Roi(sampling.roi.offset, sampling.roi.shape))
            region = region.intersect(configured)
            if region.empty:
                raise ConfigurationError(
                    f"training.sampling.{name}.roi: {configured} has nothing in common with the labels at "
                    f"{volume.labeled_roi}; give a region inside them, in world units"
                )
        points, probability, keep_inside = None, sampling.point_probability, False
        objects = next((item for item in self.spec.object_points if item.volume == name), None)
        if sampling.points and self.spec.augment:
            points = read_points(sampling.points, region, name)
        elif objects is not None and objects.probability:
            points, probability, keep_inside = (
                volume.convert_points(objects.points),
                objects.probability,
                True,
            )
        source = VolumeProvider(volume) + SampleLocation(
            [region], self.window, self.voxel_size, points, probability, keep_inside
        )
        if training.min_masked > 0:
            source = source + RejectIfMasked(MASK, training.min_masked, self.window, name=name)
        if training.reject_empty > 0 and self.spec.augment:
            source = source + RejectIfEmpty(LABELS, training.reject_empty, name=name)
        intensity = volume.volume.find_range(self.spec.intensity)
        return source + ToUnit(RAW, intensity.minimum, intensity.maximum)

    def create_sample(self, seed: int) -> Batch:
        """Return one sample, (channels, *spatial), for any seed."""
        request = gp.BatchRequest(random_seed=seed)
        request[RAW] = gp.ArraySpec(roi=self.input_roi)
        request[TARGET] = gp.ArraySpec(roi=self.window)
        request[WEIGHT] = gp.ArraySpec(roi=self.window)
        if self.stored_targets:
            request[MASK] = gp.ArraySpec(roi=self.window)
        try:
            batch = self._pipeline.request_batch(request)
        except Exception as error:
            raise _extract_error(error) from error
        weight = batch[WEIGHT].data
        if self.stored_targets:
            weight = weight * (batch[MASK].data > 0)
        return {
            "raw": scale_to_network(batch[RAW].data),
            "target": batch[TARGET].data.astype(np.float32, copy=False),
            "weight": np.broadcast_to(weight, batch[TARGET].data.shape).astype(np.float32),
        }

    def create_batch(self, iteration: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Return the batch of an iteration, for process ``rank`` of ``ranks`` that train together."""
        size = self.spec.training.batch_size
        samples = [
            self.create_sample(mix_seed(self.spec.seed, iteration, rank * size + number))
            for number in range(size)
        ]
        # Mirrored and transposed samples have other strides, which would change the order of sums.
        return {
            name: np.ascontiguousarray(np.stack([sample[name] for sample in samples])) for name in samples[0]
        }

    def estimate_class_counts(self, samples: int = 16) -> Any:
        """Return the class counts of random samples, for ``Predictor.create_weight``; None if classes are not counted.

        Args:
            samples: number of samples.
        """
        if self.target_filter is None:
            return None
        self.target_filter.moving_class_counts = None
        for number in range(samples):
            self.create_sample(mix_seed(self.spec.seed, -1 - number))
        return convert_to_plain_counts(self.target_filter.moving_class_counts)

    def close(self) -> None:
        """Release the pipeline."""
        self._pipeline.internal_teardown()


def find_sample_rois(
    input_shape: Sequence[int], output_shape: Sequence[int], voxel_size: Coordinate
) -> tuple[Roi, Roi]:
    """Return the ROIs of the output, with offset 0, and of the input of a sample, in world units.

    Args:
        input_shape, output_shape: of the network, in voxels.
        voxel_size: world units.

    Raises:
        ConfigurationError: the output is not centered in the input.

    >>> find_sample_rois((8, 8), (4, 4), Coordinate(10, 10))
    ([0:40, 0:40] (40, 40), [-20:60, -20:60] (80, 80))
    """
    margin = []
    for size, out in zip(input_shape, output_shape, strict=True):
        if (size - out) % 2:
            raise ConfigurationError(
                f"the network makes {list(output_shape)} of {list(input_shape)}: it must reduce both sides equally; use an "
                "odd kernel_size"
            )
        margin.append((size - out) // 2)
    window = Roi((0,) * len(margin), Coordinate(output_shape) * voxel_size)
    grow = Coordinate(margin) * voxel_size
    return window, window.grow(grow, grow)


def _extract_error(error: Exception) -> AttaccaError:
    """Return the error for users inside an error of gunpowder, which wraps one message per node of the pipeline."""
    text = str(error)
    for line in reversed(text.splitlines()):
        match = _ERROR_LINE.match(line.strip())
        if match:
            kinds = {"ConfigurationError": ConfigurationError, "VolumeError": VolumeError}
            return kinds.get(match[1], TrainingError)(match[2])
    return TrainingError(f"a sample could not be prepared: {text}")
