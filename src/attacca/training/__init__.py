"""Training: from labeled volumes to the checkpoints of a network."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attacca.checkpoint import CheckpointMeta, checkpoint_digest
    from attacca.prediction.loading import load_model
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
    "CheckpointMeta": "attacca.checkpoint",
    "TrainingJob": "attacca.training.job",
    "TrainingVolume": "attacca.training.job",
    "check_targets": "attacca.training.job",
    "checkpoint_digest": "attacca.checkpoint",
    "load_model": "attacca.prediction.loading",
    "train": "attacca.training.loop",
}


def __getattr__(name: str) -> Any:
    # torch and gunpowder take seconds to import; code that only creates a job does not need them.
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
