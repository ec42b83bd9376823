"""Checkpoint files: the only reader and writer of trained weights.

A checkpoint is a file of ``torch.save`` with the keys

- ``format``: ``FORMAT``;
- ``configuration``: canonical JSON of task, architecture, training settings, voxel size, channels and seed;
- ``model``, ``ema``: weights, and their exponential moving average or None;
- ``intensity``, ``class_counts``: normalization of the raw data, and counts for the balance of the loss;
- ``optimizer``, ``scaler``, ``random``, ``iteration``, ``loss``: state from which training resumes.

Files are read with ``weights_only=True``: torch then refuses pickles that would execute code.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from attacca.atomic import write_bytes
from attacca.config.architecture import ArchitectureConfig, read_architecture_config
from attacca.config.tasks import read_task_config
from attacca.errors import CheckpointError, MissingInputError, summarize_error
from attacca.fingerprint import canonical_json

FORMAT = "attacca checkpoint 1"
_WEIGHTS = "give a checkpoint of Attacca, its best.json, or a torch file with a dictionary of weights"


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically. Its bytes depend only on its content, not on its name or the time."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    write_bytes(path, buffer.getvalue())


def read_torch_file(path: Path | str) -> Any:
    """Return the content of a file of ``torch.save``, on the CPU, without executing code from it.

    Raises:
        MissingInputError: the file does not exist.
        CheckpointError: the file is damaged, or holds objects other than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(
            f"{path}: no such checkpoint; correct the path, or train the network that it belongs to"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: {summarize_error(error)}; the file is damaged or holds more than "
            "tensors: copy it again, or use another checkpoint"
        ) from error


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return the content of a checkpoint of Attacca, on the CPU, without executing code from it.

    Raises:
        MissingInputError: the file does not exist.
        CheckpointError: the file is damaged, or is not a checkpoint of this version of Attacca.
    """
    content = read_torch_file(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        keys = ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(
            f"{path} is not a checkpoint of this version of Attacca: expected '{FORMAT}', found {keys}; to start "
            "training from weights of another program, use a task of type pretrained"
        )
    return content


def read_weights(path: Path | str) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint of Attacca, or in any file of ``torch.save`` that holds weights by name.

    Args:
        path: weights under ``ema``, ``model`` or ``state_dict``, in this order of preference, or at the top level;
            or the ``best.json`` of a training, which names a checkpoint beside it.

    Raises:
        MissingInputError: the file does not exist.
        CheckpointError: the file holds no weights.
    """
    path = Path(path)
    if path.suffix == ".json" and path.is_file():
        try:
            path = path.parent / str(json.loads(path.read_text())["file"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"weights: {path} does not name a checkpoint; give best.json of a training"
            ) from error
    content = read_torch_file(path)
    for key in ("ema", "model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise CheckpointError(
            f"weights: {path} holds {type(content).__name__}, not a dictionary of weights", fix=_WEIGHTS
        )
    weights = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not weights:
        raise CheckpointError(
            f"weights: {path} holds no weights; its keys are {sorted(map(str, content))}", fix=_WEIGHTS
        )
    return weights


def final_weights(content: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the weights that prediction uses: the moving average if the checkpoint has one."""
    return content["model"] if content.get("ema") is None else content["ema"]


def encode_configuration(
    task: Any, architecture: ArchitectureConfig, training: dict[str, Any], **more: Any
) -> str:
    """Return the configuration that a checkpoint stores, as canonical JSON."""
    return canonical_json(
        {
            # The weights of a pretrained task are in the checkpoint, and their path changes when a project is moved.
            "task": task.learned_task.model_dump(mode="json"),
            "architecture": architecture.model_dump(mode="json"),
            "training": training,
            **more,
        }
    )


@dataclass(frozen=True)
class CheckpointMeta:
    """Description of a checkpoint: all that prediction needs besides the weights.

    Args:
        iteration: number of optimizer steps.
        task: configuration of the task; for a pretrained task, of its sub-task.
        architecture: configuration of the network.
        voxel_size: of the training volumes, in world units; None if unknown.
        num_in_channels: channels of the raw data.
        intensity: arguments of ``attacca.architectures.intensity.normalize``.
        class_counts: counts from which the loss was balanced.
        digest: see ``checkpoint_digest``.
        voxel_size_tolerance: relative difference up to which the voxel size of a volume may differ.
    """

    iteration: int
    task: Any
    architecture: ArchitectureConfig
    voxel_size: tuple[int, ...] | None
    num_in_channels: int
    intensity: dict[str, float]
    class_counts: Any
    digest: str
    voxel_size_tolerance: float = 0.0

    @classmethod
    def from_content(cls, content: dict[str, Any], path: Path | str) -> "CheckpointMeta":
        """Return the description of a checkpoint that ``read_checkpoint`` has read from ``path``.

        Raises:
            CheckpointError: its configuration cannot be interpreted.
        """
        try:
            description = json.loads(content["configuration"])
            task: Any = read_task_config(description["task"])
            architecture = read_architecture_config(description["architecture"])
            voxel_size = description.get("voxel_size")
            return cls(
                iteration=int(content["iteration"]),
                # The weights of a pretrained task are in the checkpoint: its sub-task describes the network.
                task=task.learned_task,
                architecture=architecture,
                voxel_size=tuple(voxel_size) if voxel_size else None,
                num_in_channels=int(description["num_in_channels"]),
                intensity=content["intensity"],
                class_counts=content["class_counts"],
                digest=_content_digest(content, description),
                voxel_size_tolerance=float(
                    (description.get("training") or {}).get("voxel_size_tolerance", 0.0)
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{path}: its configuration cannot be interpreted: {summarize_error(error)}; use the version of Attacca "
                "that wrote it, or train again"
            ) from error


def checkpoint_digest(path: Path | str) -> str:
    """Return the SHA-256 of all that prediction takes from a checkpoint: weights, network, task and intensities.

    Two checkpoints with the same digest give the same predictions.
    """
    content = read_checkpoint(path)
    return _content_digest(content, json.loads(content["configuration"]))


def digest_network(description: Mapping[str, Any], weights: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of all that decides predictions.

    Args:
        description: has ``task``, ``architecture``, ``voxel_size``, ``num_in_channels`` and ``intensity``.
        weights: the weights that prediction uses.
    """
    keys = ("task", "architecture", "voxel_size", "num_in_channels", "intensity")
    state = hashlib.sha256(canonical_json({key: description[key] for key in keys}).encode())
    for name, value in sorted(weights.items()):
        array = value.detach().cpu().contiguous().numpy()
        state.update(f"{name} {array.dtype.str} {array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def _content_digest(content: dict[str, Any], description: dict[str, Any]) -> str:
    return digest_network({**description, "intensity": content["intensity"]}, final_weights(content))
