"""Checkpoints: written whole or not at all, with all that is needed to go on as if nothing had happened."""

import hashlib
import io
import json
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from attacca.architectures import create_architecture
from attacca.atomic import write_bytes
from attacca.config.architecture import ArchitectureConfig
from attacca.config.tasks import AnyTaskConfig
from attacca.config.training import CheckpointConfig
from attacca.errors import CheckpointError, MissingInputError, first_line
from attacca.fingerprint import canonical_json

FORMAT = "attacca checkpoint 1"
_NAME = re.compile(r"iteration_(\d{8,})\.pt")


def checkpoint_path(directory: Path, iteration: int) -> Path:
    """Where the checkpoint after ``iteration`` steps stands, in a ``checkpoints`` directory."""
    return directory / f"iteration_{iteration:08d}.pt"


def iteration_of(path: Path) -> int:
    """The iteration in a checkpoint's name."""
    match = _NAME.fullmatch(path.name)
    if not match:
        raise CheckpointError(f"{path} is not named iteration_NNNNNNNN.pt")
    return int(match[1])


def list_checkpoints(directory: Path) -> list[Path]:
    """All checkpoints in a directory, oldest first."""
    found = [path for path in directory.glob("iteration_*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=iteration_of)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in one step. Its bytes follow from its content alone, not from its name or the
    time."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path | str, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint, loaded without running any code from it.

    Raises:
        MissingInputError: there is no such file.
        CheckpointError: the file is damaged, or no checkpoint of Attacca.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"there is no checkpoint {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version of Attacca (expected '{FORMAT}')")
    return content


def latest_checkpoint(directory: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read, with its content; None where there is none."""
    for path in reversed(list_checkpoints(directory)):
        try:
            return path, read_checkpoint(path)
        except CheckpointError as error:
            warnings.warn(f"{error}; using an older one", stacklevel=2)
    return None


def describe(task: Any, architecture: ArchitectureConfig, training: dict[str, Any], **more: Any) -> str:
    """What a checkpoint says about how it came to be, as canonical JSON."""
    return canonical_json(
        {
            "task": task.model_dump(mode="json"),
            "architecture": architecture.model_dump(mode="json"),
            "training": training,
            **more,
        }
    )


@dataclass(frozen=True)
class CheckpointMeta:
    """What prediction needs to know besides the model.

    Args:
        iteration: steps that were made.
        task: configuration of the task; for a pretrained task, of the task itself.
        architecture: configuration of the network.
        voxel_size: of the training volumes, in their unit.
        num_in_channels: channels of the raw data.
        intensity: arguments of ``attacca.architectures.intensity.normalize``.
        class_counts: from which the loss was balanced.
        digest: see ``checkpoint_digest``.
    """

    iteration: int
    task: Any
    architecture: ArchitectureConfig
    voxel_size: tuple[int, ...]
    num_in_channels: int
    intensity: dict[str, float]
    class_counts: Any
    digest: str


def load_model(path: Path | str, device: torch.device | str = "cpu") -> tuple[Any, CheckpointMeta]:
    """The model of a checkpoint, with averaged weights where there are any, in evaluation mode.

    Raises:
        MissingInputError: there is no such file.
        CheckpointError: the file is damaged, or its weights do not fit the network that it names.
    """
    from attacca.tasks import create_task

    content = read_checkpoint(path)
    description = json.loads(content["configuration"])
    task_config = TypeAdapter(AnyTaskConfig).validate_python(description["task"])
    # Whatever the weights started from, they are here now.
    task_config = getattr(task_config, "sub_task_config", task_config)
    architecture_config = TypeAdapter(ArchitectureConfig).validate_python(description["architecture"])
    channels = int(description["num_in_channels"])
    architecture = create_architecture(architecture_config, len(architecture_config.input_shape), channels)
    model = create_task(task_config).create_model(architecture)
    try:
        model.chain.load_state_dict(_weights(content))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: its weights do not fit the network that it names: {first_line(error)}"
        ) from error
    model.to(device).eval()
    meta = CheckpointMeta(
        iteration=int(content["iteration"]),
        task=task_config,
        architecture=architecture_config,
        voxel_size=tuple(description["voxel_size"]),
        num_in_channels=channels,
        intensity=content["intensity"],
        class_counts=content["class_counts"],
        digest=_content_digest(content, description),
    )
    return model, meta


def checkpoint_digest(path: Path | str) -> str:
    """SHA-256 of all that prediction takes from a checkpoint: weights, network, task and intensities.

    Two checkpoints with one digest predict the same.
    """
    content = read_checkpoint(path)
    return _content_digest(content, json.loads(content["configuration"]))


def _weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    return content["ema"] if content["ema"] is not None else content["model"]


def _content_digest(content: dict[str, Any], description: dict[str, Any]) -> str:
    told = {key: description[key] for key in ("task", "architecture", "voxel_size", "num_in_channels")}
    state = hashlib.sha256(canonical_json({**told, "intensity": content["intensity"]}).encode())
    for name, value in sorted(_weights(content).items()):
        array = value.detach().cpu().contiguous().numpy()
        state.update(f"{name} {array.dtype.str} {array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def prune(directory: Path, policy: CheckpointConfig, also: Iterable[int] = ()) -> None:
    """Delete checkpoints that the policy does not keep.

    Args:
        directory: of the checkpoints.
        policy: how many are kept.
        also: iterations that are kept besides, the best one among them.
    """
    paths = list_checkpoints(directory)
    kept = set(also) | {iteration_of(path) for path in paths[-policy.keep_last :]}
    for path in paths[: -policy.keep_last]:
        iteration = iteration_of(path)
        periodic = policy.keep_every is not None and iteration % policy.keep_every == 0
        if iteration not in kept and not periodic:
            path.unlink(missing_ok=True)
