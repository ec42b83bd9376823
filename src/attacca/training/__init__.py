"""Training: from labeled volumes to the checkpoints of a network."""

from typing import TYPE_CHECKING

from attacca.lazy_names import import_lazily

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


# torch and gunpowder take seconds to import; code that only creates a job does not need them.
__getattr__ = import_lazily(__name__, _MODULES)
