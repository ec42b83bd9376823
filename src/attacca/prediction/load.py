"""Reads a checkpoint of training and makes its network again."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from funlib.geometry import Coordinate
from pydantic import TypeAdapter

from attacca.architectures import create_architecture
from attacca.config.architecture import ArchitectureConfig
from attacca.config.tasks import AffinitiesTaskConfig, AnyTaskConfig, PretrainedTaskConfig
from attacca.errors import CheckpointError, MissingInputError, first_line
from attacca.prediction.network import Network
from attacca.tasks import create_task


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The contents of a checkpoint, on the CPU.

    Raises:
        MissingInputError: there is no such file.
        CheckpointError: it is not a checkpoint of Attacca.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such checkpoint; train the network first") from None
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {first_line(error)}") from error
    if not isinstance(content, dict) or "model" not in content or "configuration" not in content:
        raise CheckpointError(
            f"{path} is not a checkpoint of Attacca: expected 'model' and 'configuration' in it, found "
            + (
                ", ".join(map(str, list(content)[:8]))
                if isinstance(content, dict)
                else type(content).__name__
            )
        )
    return content


def load_network(path: str | Path) -> Network:
    """The trained network of a checkpoint, on the CPU, with averaged weights where there are some.

    Raises:
        MissingInputError: there is no such file.
        CheckpointError: it is not a checkpoint of Attacca, or its weights do not fit its configuration.
    """
    content = read_checkpoint(path)
    try:
        configuration = json.loads(content["configuration"])
        task_config = TypeAdapter(AnyTaskConfig).validate_python(configuration["task"])
        architecture_config = TypeAdapter(ArchitectureConfig).validate_python(configuration["architecture"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration is not understood: {first_line(error)}") from error
    if isinstance(task_config, PretrainedTaskConfig):
        task_config = task_config.sub_task_config
    channels = int(configuration["num_in_channels"])
    # Weights are drawn at random before they are replaced: whoever calls keeps their own random numbers.
    with torch.random.fork_rng(devices=[]):
        task = create_task(task_config)
        architecture = create_architecture(
            architecture_config, len(architecture_config.input_shape), channels
        )
        model = task.create_model(architecture)
    try:
        model.chain.load_state_dict(content["model"] if content.get("ema") is None else content["ema"])
    except (RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path}: its weights do not fit the network that it names: {first_line(error)}"
        ) from error
    return network_of_task(
        task,
        model,
        task_config,
        intensity=(float(content["intensity"]["minimum"]), float(content["intensity"]["maximum"])),
        voxel_size=Coordinate(configuration["voxel_size"]) if configuration.get("voxel_size") else None,
    )


def network_of_task(task: Any, model: Any, task_config: Any, **known: Any) -> Network:
    """The network of a task's model; what its channels are is told by the task.

    Args:
        task: an ``attacca.tasks.Task``.
        model: the ``Model`` that it made.
        task_config: its configuration.
        known: further arguments of ``Network``.
    """
    predictor = task.predictor
    names = list(predictor.channel_names)
    offsets, reason = None, ""
    if isinstance(task_config, AffinitiesTaskConfig):
        offsets = tuple(tuple(int(step) for step in offset) for offset in task_config.neighborhood)
        if len(names) > len(offsets):
            offsets, reason = None, "local shape descriptors are directions, which mirroring changes"
    return Network.from_model(
        model, names, value_range=tuple(predictor.value_range), offsets=offsets, not_mirrored=reason, **known
    )
