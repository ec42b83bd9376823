"""Training, prediction, segmentation and evaluation as functions of arrays, for scripts and notebooks.

The workflow runs the same library in jobs that may be stopped and restarted. Here each call computes in this process
and returns when it is done: for a cube, a test, a first look at a data set.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.blockwise import run_blocks
from attacca.config.architecture import UNetConfig
from attacca.config.evaluation import EvaluationConfig
from attacca.config.prediction import PredictionConfig
from attacca.config.task import TaskConfig
from attacca.config.training import TrainingConfig
from attacca.evaluators import EvaluationScores
from attacca.layout import checkpoint_name
from attacca.post_processors import PostProcessorParameters
from attacca.prediction import PredictBlocks, create_prediction_array, load_network, make_prediction_grid
from attacca.progress import Progress
from attacca.tasks import create_task
from attacca.training import TrainingJob, TrainingVolume
from attacca.training import train as run_training

ArrayOrIdentifier = Array | LocalArrayIdentifier
"""An array in memory or on disk, or the location of a stored one."""

Output = LocalArrayIdentifier | str | Path
"""Location of an array to write: an identifier, or a Zarr container, whose array is then called ``s0``."""


@dataclass(frozen=True)
class LabeledVolume:
    """An image with its ground truth.

    Args:
        name: used in messages, and for the copy on disk of arrays in memory.
        raw: image, axes ([c,] [z,] y, x), any integer or floating-point type.
        labels: object ids or class ids, or one channel per class; integers, with the voxel size of ``raw``. They may
            cover a part of the image: a crop.
        mask: voxels with valid labels are not 0; all of them without it.
        unlabelled: label value of voxels without annotation; None if all voxels are annotated.
    """

    name: str
    raw: ArrayOrIdentifier
    labels: ArrayOrIdentifier
    mask: ArrayOrIdentifier | None = None
    unlabelled: int | None = None


def train(
    volumes: Sequence[LabeledVolume],
    directory: str | Path,
    task: TaskConfig,
    *,
    architecture: UNetConfig | None = None,
    training: TrainingConfig | None = None,
    validation: Sequence[LabeledVolume] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Train a network on labeled volumes, or resume its training.

    Args:
        volumes: at least one volume to learn from.
        directory: checkpoints, curves and copies of arrays in memory are written here. A training that was interrupted
            there resumes at its last checkpoint.
        task: what the network learns, such as ``AffinitiesTaskConfig(neighborhood=[[1, 0, 0], ...])``.
        architecture: the network; a U-Net of three levels by default.
        training: iterations, optimizer, augmentation; the defaults of the workflow without it.
        validation: held-out volumes. With them, the checkpoint with the lowest validation loss is chosen.
        seed: source of every random draw. Equal seeds give equal weights on a CPU.
        progress: counts iterations; nothing is printed without it.

    Returns:
        The checkpoint to predict with: the best on the validation volumes, or the last.

    Raises:
        ConfigurationError: volumes, network and settings do not fit each other; nothing was trained.
        CheckpointError: the directory holds checkpoints of another configuration.
        TrainingError: the loss is not finite, or it diverges; earlier checkpoints are kept.
    """
    directory = Path(directory)
    job = TrainingJob(
        directory=directory,
        task=task,
        architecture=architecture or UNetConfig(),
        training=training or TrainingConfig(),
        volumes=tuple(_store_volume(volume, directory / "volumes") for volume in volumes),
        validation=tuple(_store_volume(volume, directory / "volumes") for volume in validation),
        seed=seed,
    )
    result = run_training(job, progress)
    best = result["best"] or {"file": checkpoint_name(result["iterations"])}
    return job.files.checkpoints / Path(best["file"]).name


def predict_volume(
    checkpoint: str | Path,
    raw: ArrayOrIdentifier,
    output: Output,
    *,
    prediction: PredictionConfig | None = None,
    num_workers: int = 1,
    progress: Progress | None = None,
) -> ZarrArray:
    """Apply a trained network to a volume, block by block.

    Args:
        checkpoint: file of the network, as ``train`` returns it.
        raw: image, axes ([c,] [z,] y, x), with the voxel size and channels of the training volumes.
        output: location of the prediction. An existing array is overwritten.
        prediction: block size, data type and test-time augmentation.
        num_workers: processes that compute blocks; the result does not depend on it.
        progress: counts blocks; nothing is printed without it.

    Returns:
        Prediction of shape (channels, [z,] y, x) over the region of ``raw``. By default it is stored as uint8, with
        the scale and offset of its values in its attributes; ``prediction.read_values(roi)`` returns the values.

    Raises:
        MissingInputError: the checkpoint does not exist.
        VolumeError: the image does not fit the network.
        BlocksFailedError: a block failed.
    """
    config = prediction or PredictionConfig()
    identifier = _output_identifier(output)
    with _stored(raw) as source:
        image = ZarrArray.open_from_array_identifier(source)
        network = load_network(checkpoint, config.descriptors)
        array = create_prediction_array(identifier, image, network, config, overwrite=True)
        run_blocks(
            PredictBlocks(checkpoint, source, identifier, config),
            make_prediction_grid(image, network, config),
            num_workers=num_workers,
            progress=progress,
        )
    return array


def segment_volume(
    prediction: ArrayOrIdentifier,
    output: Output,
    task: TaskConfig,
    *,
    parameters: PostProcessorParameters | None = None,
    block_size: Sequence[int] | None = None,
    num_workers: int = 1,
) -> Array:
    """Turn a prediction into a segmentation by the post-processor of its task.

    Args:
        prediction: as ``predict_volume`` returns it, shape (channels, [z,] y, x).
        output: location of the segmentation. An existing array is overwritten.
        task: the task of the network.
        parameters: of the post-processor, such as ``WatershedPostProcessorParameters(bias=0.4)``: affinities above the
            bias attract, so that a higher bias gives smaller objects. By default the median of the candidates that the
            post-processor enumerates.
        block_size: voxels of a block; 256 per axis by default.
        num_workers: threads or processes; the result does not depend on it.

    Returns:
        Object ids (uint64, 0 is background) for affinities; a class id or a mask per voxel (uint8) for other tasks.

    Raises:
        VolumeError: the prediction does not have the channels of the task.
        BlocksFailedError: a block failed.
    """
    post_processor = create_task(task).post_processor
    options = {} if block_size is None else {"block_size": block_size}
    with _stored(prediction) as source:
        post_processor.set_prediction(source)
        if parameters is None:
            candidates = list(post_processor.enumerate_parameters())
            parameters = candidates[len(candidates) // 2]
        return post_processor.process(parameters, _output_identifier(output), num_workers, **options)


def evaluate(
    segmentation: ArrayOrIdentifier,
    labels: ArrayOrIdentifier,
    task: TaskConfig,
    *,
    mask: ArrayOrIdentifier | None = None,
    evaluation: EvaluationConfig | None = None,
    unlabelled: int | None = None,
    num_workers: int = 1,
) -> EvaluationScores:
    """Compare a segmentation with ground truth, in the region where both are defined.

    Args:
        segmentation: as ``segment_volume`` returns it.
        labels: ground truth, with the voxel size of the segmentation.
        task: the task of the network; it decides which scores are computed.
        mask: voxels that count are not 0; all of them without it.
        evaluation: conventions of the scores; the defaults of the workflow without it.
        unlabelled: label value of voxels without annotation; None if all voxels are annotated.
        num_workers: processes; the scores do not depend on it.

    Returns:
        Scores with their conventions: ``scores.value("voi")``, ``scores.criteria``.

    Raises:
        VolumeError: voxel sizes or channels differ, or the arrays do not overlap.

    Example:
        >>> import attacca, numpy as np
        >>> labels = np.ones((4, 8, 8), np.uint64)
        >>> labels[:, 4:] = 2
        >>> merged = np.ones_like(labels)
        >>> roi, voxel_size = attacca.Roi((0, 0, 0), (32, 64, 64)), (8, 8, 8)
        >>> arrays = [
        ...     attacca.NumpyArray.from_np_array(array, roi, voxel_size, ["z", "y", "x"]) for array in (merged, labels)
        ... ]
        >>> scores = attacca.evaluate(*arrays, attacca.AffinitiesTaskConfig(neighborhood=[[1, 0, 0]]))
        >>> scores.value("voi_split"), scores.value("voi_merge")
        (0.0, 1.0)
    """
    evaluator = create_task(task).create_evaluator(evaluation, unlabelled)
    with TemporaryDirectory(prefix="attacca-evaluate-") as directory:
        scores: EvaluationScores = evaluator.evaluate_blockwise(
            segmentation, labels, directory, mask=mask, num_workers=num_workers
        )
    return scores


def _output_identifier(output: Output) -> LocalArrayIdentifier:
    return output if isinstance(output, LocalArrayIdentifier) else LocalArrayIdentifier(output, "s0")


def _store_volume(volume: LabeledVolume, directory: Path) -> TrainingVolume:
    container = directory / f"{volume.name}.zarr"
    return TrainingVolume(
        name=volume.name,
        raw=_store(volume.raw, LocalArrayIdentifier(container, "raw")),
        labels=_store(volume.labels, LocalArrayIdentifier(container, "labels")),
        mask=None if volume.mask is None else _store(volume.mask, LocalArrayIdentifier(container, "mask")),
        unlabelled=volume.unlabelled,
    )


def _store(array: ArrayOrIdentifier, identifier: LocalArrayIdentifier) -> LocalArrayIdentifier:
    """Return the location of a stored array; an array in memory is written to ``identifier`` first."""
    if isinstance(array, LocalArrayIdentifier):
        return array
    if isinstance(array, ZarrArray):
        return LocalArrayIdentifier(array.file_name, array.dataset)
    stored = ZarrArray.create_from_array_identifier(
        identifier,
        array.axes,
        array.roi,
        array.num_channels,
        array.voxel_size,
        np.dtype(array.dtype),
        overwrite=True,
        unit=array.unit,
    )
    stored[array.roi] = array[array.roi]
    return identifier


@contextmanager
def _stored(array: ArrayOrIdentifier) -> Iterator[LocalArrayIdentifier]:
    """Location of an array; an array in memory is stored in a temporary directory meanwhile."""
    with TemporaryDirectory(prefix="attacca-array-") as directory:
        yield _store(array, LocalArrayIdentifier(Path(directory) / "array.zarr", "s0"))
