"""The directory of a training's checkpoints, ``iteration_NNNNNNNN.pt`` after each interval."""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attacca.checkpoint import read_checkpoint
from attacca.config.training import CheckpointConfig
from attacca.errors import CheckpointError, MissingInputError
from attacca.layout import TrainingFiles, checkpoint_name

_NAME = re.compile(r"iteration_(\d{8,})\.pt")


def checkpoint_path(directory: Path, iteration: int) -> Path:
    """Return the path of the checkpoint after ``iteration`` optimizer steps.

    >>> checkpoint_path(Path("checkpoints"), 250).name
    'iteration_00000250.pt'
    """
    return directory / checkpoint_name(iteration)


def iteration_of(path: Path) -> int:
    """Return the iteration in a checkpoint's file name.

    Raises:
        CheckpointError: the file has another name.
    """
    match = _NAME.fullmatch(path.name)
    if not match:
        raise CheckpointError(f"{path}: found this file name, expected iteration_NNNNNNNN.pt")
    return int(match[1])


def list_checkpoints(directory: Path) -> list[Path]:
    """Return all checkpoints in a directory, oldest first."""
    paths = [path for path in directory.glob("iteration_*.pt") if _NAME.fullmatch(path.name)]
    return sorted(paths, key=iteration_of)


def latest_checkpoint(directory: Path) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest readable checkpoint and its content; None if there is none.

    Damaged checkpoints are skipped with a warning.
    """
    for path in reversed(list_checkpoints(directory)):
        try:
            return path, read_checkpoint(path)
        except CheckpointError as error:
            warnings.warn(f"{error}; using an older one", stacklevel=2)
    return None


def latest_state(files: TrainingFiles) -> tuple[Path, dict[str, Any]] | None:
    """Return the newest state from which a training resumes, a checkpoint or one between two; None if there is none."""
    latest = latest_checkpoint(files.checkpoints)
    try:
        between = read_checkpoint(files.recovery)
    except MissingInputError:
        return latest
    except CheckpointError as error:
        warnings.warn(f"{error}; using an older state", stacklevel=2)
        return latest
    is_newer = latest is None or int(between["iteration"]) > int(latest[1]["iteration"])
    return (files.recovery, between) if is_newer else latest


def prune_checkpoints(directory: Path, policy: CheckpointConfig, also: Iterable[int] = ()) -> None:
    """Delete the checkpoints that the policy does not keep.

    Args:
        directory: of the checkpoints.
        policy: ``keep_last`` and ``keep_every``.
        also: further iterations to keep, such as the best one.
    """
    paths = list_checkpoints(directory)
    kept = set(also) | {iteration_of(path) for path in paths[-policy.keep_last :]}
    for path in paths[: -policy.keep_last]:
        iteration = iteration_of(path)
        periodic = policy.keep_every is not None and iteration % policy.keep_every == 0
        if iteration not in kept and not periodic:
            path.unlink(missing_ok=True)
