"""Networks from the checkpoints of training."""

from pathlib import Path

import torch
from funlib.geometry import Coordinate

from attacca.architectures import create_architecture
from attacca.architectures.intensity import read_intensity
from attacca.checkpoint import CheckpointMeta, final_weights, read_checkpoint
from attacca.errors import CheckpointError, summarize_error
from attacca.model import Model
from attacca.prediction.network import Network
from attacca.tasks import create_task


def load_model(path: str | Path, device: torch.device | str = "cpu") -> tuple[Model, CheckpointMeta]:
    """Return the model of a checkpoint in evaluation mode, with averaged weights if there are any.

    Args:
        path: a checkpoint of training.
        device: the device to which the model is moved.

    Raises:
        MissingInputError: the file does not exist.
        CheckpointError: the file is not a checkpoint of Attacca, or its weights do not fit its configuration.
    """
    content = read_checkpoint(path)
    meta = CheckpointMeta.from_content(content, path)
    # Random initial weights are drawn before they are replaced: the caller's random state must not change.
    with torch.random.fork_rng(devices=[]):
        dims = len(meta.architecture.input_shape)
        architecture = create_architecture(meta.architecture, dims, meta.num_in_channels)
        model = create_task(meta.task).create_model(architecture)
    try:
        model.chain.load_state_dict(final_weights(content))
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path}: its weights do not fit the network in its configuration: {summarize_error(error)}; the file was "
            "changed after training: use another checkpoint"
        ) from error
    return model.to(device).eval(), meta


def load_network(path: str | Path, descriptors: bool = False) -> Network:
    """Return the network of a checkpoint for blockwise prediction, on the CPU.

    Args:
        path: a checkpoint of training.
        descriptors: predict local shape descriptors, too.

    Raises:
        MissingInputError: the file does not exist.
        CheckpointError: the file is not a checkpoint of Attacca, or its weights do not fit its configuration.
    """
    model, meta = load_model(path)
    return Network.from_task(
        create_task(meta.task),
        model,
        intensity=read_intensity(meta.intensity),
        voxel_size=Coordinate(meta.voxel_size) if meta.voxel_size else None,
        voxel_size_tolerance=meta.voxel_size_tolerance,
        descriptors=descriptors,
    )
