"""Training loop: from a job to a directory of checkpoints, curves and snapshots.

1. All random draws are functions of the seed and the iteration: initial weights, samples, augmentation.
2. Each iteration takes its batch from ``loader``, makes an optimizer step, and updates the averaged weights.
3. At a checkpoint, curves are written first, then the checkpoint (atomically), then the validation volumes are
   measured, the best checkpoint is recorded, and old ones are deleted.
4. Between checkpoints, the state is written once a minute, and deleted at the next checkpoint.
5. A resumed run loads the newest state, truncates the curves after it, completes step 3, and continues. On a CPU, its
   files are byte for byte those of a run without interruption.
"""

import logging
import time
from dataclasses import replace
from typing import Any

import numpy.typing as npt
from funlib.geometry import Coordinate

from attacca.architectures.intensity import Intensity, IntensityRule, Percentiles
from attacca.arrays import ZarrArray
from attacca.checkpoint import encode_configuration
from attacca.config.intensity import PercentilesConfig
from attacca.config.training import TrainingConfig
from attacca.errors import CheckpointError, TrainingError
from attacca.progress import Progress
from attacca.training.best_checkpoint import read_best
from attacca.training.checkpoint_directory import latest_checkpoint, latest_state
from attacca.training.class_counts import convert_to_plain_counts
from attacca.training.job import TrainingJob
from attacca.training.loader import BatchLoader
from attacca.training.object_points import find_object_points
from attacca.training.pipeline import SamplePipeline, SampleSpec
from attacca.training.records import Records, write_initial_weights
from attacca.training.state import TrainingState
from attacca.training.training_device import TrainingDevice, set_up_device

logger = logging.getLogger(__name__)


def train(job: TrainingJob, progress: Progress | None = None) -> dict[str, Any]:
    """Train a network, or resume its training, up to ``job.training.iterations`` steps.

    Args:
        job: volumes, task, network and settings.
        progress: display of the iterations; None for no display.

    Returns:
        ``best``: content of ``checkpoints/best.json`` (``file``, ``digest``, ``iteration``, ``criterion``, ``value``,
        ``higher_is_better``); ``iterations``; ``class_counts``; ``intensity``; ``parameters``: number of weights;
        ``validation``: list of ``iteration``, ``criterion``, ``value``.

    Raises:
        ConfigurationError: volumes, network and settings do not fit each other; nothing was trained.
        VolumeError: all voxels of an image become black or white; nothing was trained.
        CheckpointError: the directory contains checkpoints of another configuration.
        TrainingError: the loss is not finite, or it diverges; earlier checkpoints are kept.
    """
    with set_up_device(job.training) as device:
        return _train(job, device, progress)


def _train(job: TrainingJob, device: TrainingDevice, progress: Progress | None) -> dict[str, Any]:
    config = job.training
    raw = ZarrArray.open_from_array_identifier(job.volumes[0].raw)
    channels = raw.num_channels or 1
    description = encode_configuration(
        job.task,
        job.architecture,
        # Paths change when a project is moved, and the training must resume then.
        config.portable(),
        num_in_channels=channels,
        ranks=device.ranks,
        seed=job.seed,
        voxel_size=list(raw.voxel_size),
    )
    latest = latest_state(job.files)
    if latest is not None and latest[1]["configuration"] != description:
        raise CheckpointError(
            f"{latest[0]} was made with another configuration",
            fix=f"move {job.directory} to another path, or train into another directory",
        )
    intensity = choose_intensity(config, raw.dtype)
    if device.is_first:
        for volume in (*job.volumes, *job.validation):
            volume.check_contrast(intensity)
    state = TrainingState(job, device, raw.dims, channels, resumed=latest is not None)
    spec = SampleSpec(
        volumes=job.volumes,
        task=job.task,
        training=config,
        input_shape=tuple(state.model.input_shape),
        output_shape=tuple(state.model.output_shape),
        intensity=intensity,
        seed=job.seed,
        class_counts=convert_to_plain_counts(job.class_counts),
        object_points=find_object_points(job.volumes, config, Coordinate(state.model.output_shape)),
    )
    if device.is_first:
        for objects in spec.object_points:
            logger.log(logging.WARNING if objects.probability else logging.INFO, "%s", objects)
    if latest is not None:
        state.restore(latest[1])
        if device.is_first:
            name = latest[0].relative_to(job.directory)
            logger.info(
                "training resumes after iteration %d of %d, from %s", state.iteration, config.iterations, name
            )
        spec = replace(spec, class_counts=latest[1]["class_counts"])
    elif job.class_counts is None:
        spec = replace(spec, class_counts=estimate_class_counts(spec))
    state.distribute()
    if state.initial_weights is not None and device.is_first:
        write_initial_weights(job.files.initial_weights, state.initial_weights)
    records = Records(job, state, spec, description) if device.is_first else None
    try:
        if records is not None and latest is not None:
            records.resume(*latest)
        _iterate(state, spec, records, progress)
        return _collect_result(job, spec, state, records)
    except TrainingError as error:
        kept = latest_checkpoint(job.files.checkpoints)
        where = (
            f"the last good checkpoint is {kept[0]}" if kept is not None else "no checkpoint was written yet"
        )
        raise TrainingError(f"{error} ({where})") from error
    finally:
        if records is not None:
            records.close()


def _iterate(
    state: TrainingState, spec: SampleSpec, records: Records | None, progress: Progress | None
) -> None:
    config, device = state.config, state.device
    if progress is not None:
        progress.expect(0, state.iteration - progress.done)
    started, counted = time.monotonic(), state.iteration
    with BatchLoader(
        spec,
        state.iteration,
        config.iterations,
        config.loader_workers,
        config.prefetch,
        device.rank,
        device.ranks,
    ) as loader:
        for batch in loader:
            loss, rate = state.step(batch)
            if records is not None:
                records.add(loss, rate)
            if progress is not None:
                progress.advance(1, note=f"loss {state.smooth_loss:.4f}")
            if state.iteration % config.checkpoint.interval == 0 or state.iteration == config.iterations:
                if records is not None:
                    records.write_checkpoint(
                        batch, (state.iteration - counted) / (time.monotonic() - started)
                    )
                started, counted = time.monotonic(), state.iteration
            elif records is not None:
                records.write_recovery()
    if progress is not None:
        progress.finish()


def _collect_result(
    job: TrainingJob, spec: SampleSpec, state: TrainingState, records: Records | None
) -> dict[str, Any]:
    validation = records.validation.read_rows() if records is not None else []
    return {
        "best": read_best(job.files.checkpoints),
        "class_counts": spec.class_counts,
        "intensity": spec.intensity.as_dict(),
        "iterations": state.iteration,
        "parameters": sum(parameter.numel() for parameter in state.chain.parameters()),
        "validation": [
            {
                "iteration": int(row["iteration"]),
                "criterion": row["criterion"],
                "value": float(row["value"]),
            }
            for row in validation
        ],
    }


def choose_intensity(config: TrainingConfig, dtype: npt.DTypeLike) -> IntensityRule:
    """Return the range or the percentiles of the configuration, or the range of the raw data's dtype."""
    if isinstance(config.intensity, PercentilesConfig):
        return Percentiles(*config.intensity.percentiles)
    if config.intensity is not None:
        return Intensity(*map(float, config.intensity))
    return Intensity.for_dtype(dtype)


def estimate_class_counts(spec: SampleSpec) -> Any:
    """Return the class counts of a fixed number of samples; see ``SamplePipeline.estimate_class_counts``."""
    pipeline = SamplePipeline(spec)
    try:
        return pipeline.estimate_class_counts()
    finally:
        pipeline.close()
