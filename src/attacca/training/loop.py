"""The training loop: from a job to a directory of checkpoints, curves and pictures.

1. Everything random is a function of the seed and the iteration: initial weights, samples, augmentation.
2. Each iteration takes its batch from ``loader``, makes a step, and updates the averaged weights.
3. At a checkpoint, curves are flushed first, then the checkpoint is written in one step, then the validation
   volumes are measured, the best checkpoint is recorded, and old ones are deleted.
4. A run that starts where another stopped takes the newest checkpoint, cuts the curves off behind it, repeats
   what of step 3 is missing, and goes on: its files are those of a run that never stopped, byte for byte on a
   CPU.
"""

import time
from dataclasses import replace
from typing import Any

from attacca.architectures.intensity import Intensity
from attacca.arrays import ZarrArray
from attacca.checkpoint import encode_configuration
from attacca.config.training import TrainingConfig
from attacca.errors import CheckpointError, TrainingError
from attacca.progress import Progress
from attacca.training.checkpoint_directory import latest_checkpoint
from attacca.training.device import Place, training_place
from attacca.training.job import TrainingJob
from attacca.training.loader import BatchLoader
from attacca.training.pipeline import SamplePipeline, SampleSpec, plain_counts
from attacca.training.records import Records, write_initial_weights
from attacca.training.state import TrainingState
from attacca.training.validation import read_best


def train(job: TrainingJob, progress: Progress | None = None) -> dict[str, Any]:
    """Train, or go on training, until ``job.training.iterations`` steps are made.

    Args:
        job: what to do.
        progress: counts iterations; None prints nothing.

    Returns:
        ``best``: what ``checkpoints/best.json`` says (``file``, ``digest``, ``iteration``, ``criterion``,
        ``value``, ``higher_is_better``); ``iterations``; ``class_counts``; ``intensity``; ``parameters``:
        number of weights; ``validation``: a list of ``iteration``, ``criterion``, ``value``.

    Raises:
        ConfigurationError: volumes, network and settings do not fit each other; nothing was trained.
        CheckpointError: the directory holds checkpoints of another configuration.
        TrainingError: the loss is not finite, or it diverges; the checkpoints until then are kept.
    """
    with training_place(job.training) as place:
        return _train(job, place, progress)


def _train(job: TrainingJob, place: Place, progress: Progress | None) -> dict[str, Any]:
    config = job.training
    raw = ZarrArray.open_from_array_identifier(job.volumes[0].raw)
    channels = raw.num_channels or 1
    description = encode_configuration(
        job.task,
        job.architecture,
        config.deciding(),
        num_in_channels=channels,
        ranks=place.ranks,
        seed=job.seed,
        voxel_size=list(raw.voxel_size),
    )
    found = latest_checkpoint(job.directory / "checkpoints")
    if found is not None and found[1]["configuration"] != description:
        raise CheckpointError(
            f"{found[0]} was made with another configuration: move {job.directory} away, or train into "
            f"another one"
        )
    state = TrainingState(job, place, raw.dims, channels, resumed=found is not None)
    spec = SampleSpec(
        volumes=job.volumes,
        task=job.task,
        training=config,
        input_shape=tuple(state.model.input_shape),
        output_shape=tuple(state.model.output_shape),
        intensity=choose_intensity(config, raw.dtype),
        seed=job.seed,
        class_counts=plain_counts(job.class_counts),
    )
    if found is not None:
        state.restore(found[1])
        spec = with_class_counts(spec, found[1]["class_counts"])
    elif job.class_counts is None:
        spec = with_class_counts(spec, estimate_class_counts(spec))
    state.distribute()
    if state.initial_weights is not None and place.is_first:
        write_initial_weights(job.directory, state.initial_weights)
    records = Records(job, state, spec, description) if place.is_first else None
    try:
        if records is not None and found is not None:
            records.after_checkpoint()
        _iterate(state, spec, records, progress)
        return _result(job, spec, state, records)
    except TrainingError as error:
        kept = latest_checkpoint(job.directory / "checkpoints")
        where = f"the last good checkpoint is {kept[0]}" if kept is not None else "there is no checkpoint yet"
        raise TrainingError(f"{error} ({where})") from error
    finally:
        if records is not None:
            records.close()


def _iterate(
    state: TrainingState, spec: SampleSpec, records: Records | None, progress: Progress | None
) -> None:
    config, place = state.config, state.place
    if progress is not None:
        progress.advance(state.iteration - progress.done)
    started, counted = time.monotonic(), state.iteration
    with BatchLoader(
        spec,
        state.iteration,
        config.iterations,
        config.loader_workers,
        config.prefetch,
        place.rank,
        place.ranks,
    ) as loader:
        for batch in loader:
            loss, rate = state.step(batch)
            if records is not None:
                records.add(loss, rate)
            if progress is not None:
                progress.advance(1, note=f"loss {state.smooth_loss:.4f}")
            if state.iteration % config.checkpoint.interval == 0 or state.iteration == config.iterations:
                if records is not None:
                    records.checkpoint(batch, (state.iteration - counted) / (time.monotonic() - started))
                started, counted = time.monotonic(), state.iteration
    if progress is not None:
        progress.finish()


def _result(
    job: TrainingJob, spec: SampleSpec, state: TrainingState, records: Records | None
) -> dict[str, Any]:
    validation = records.validation.rows() if records is not None else []
    return {
        "best": read_best(job.directory / "checkpoints"),
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


def choose_intensity(config: TrainingConfig, dtype: Any) -> Intensity:
    """The range that the configuration names, or that of the raw data's type."""
    if config.intensity is not None:
        return Intensity(*map(float, config.intensity))
    return Intensity.for_dtype(dtype)


def with_class_counts(spec: SampleSpec, class_counts: Any) -> SampleSpec:
    """The same samples, with weights balanced from ``class_counts``."""
    return replace(spec, class_counts=class_counts)


def estimate_class_counts(spec: SampleSpec) -> Any:
    """Class counts of a fixed number of samples; see ``SamplePipeline.estimate_class_counts``."""
    pipeline = SamplePipeline(spec)
    try:
        return pipeline.estimate_class_counts()
    finally:
        pipeline.close()
