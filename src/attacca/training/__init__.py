"""From labelled volumes to checkpoints of a network."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attacca.training.checkpoint import CheckpointMeta, checkpoint_digest, load_model
    from attacca.training.job import TrainingJob, TrainingVolume, check_targets
    from attacca.training.loop import train

__all__ = [
    "CheckpointMeta",
    "TrainingJob",
    "TrainingVolume",
    "check_targets",
    "checkpoint_digest",
    "load_model",
    "train",
]

_MODULES = {
    "CheckpointMeta": "checkpoint",
    "TrainingJob": "job",
    "TrainingVolume": "job",
    "check_targets": "job",
    "checkpoint_digest": "checkpoint",
    "load_model": "checkpoint",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    # torch and gunpowder take seconds to import; whoever makes a job only does not wait for them.
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"attacca.training.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
