"""What is measured on the validation volumes while a network learns, and which checkpoint was the best."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attacca.atomic import write_json
from attacca.checkpoint import checkpoint_digest
from attacca.errors import CheckpointError
from attacca.gp.seeds import mix_seed
from attacca.training.checkpoint_directory import checkpoint_path
from attacca.training.curves import Table
from attacca.training.device import Place
from attacca.training.pipeline import Batch, SamplePipeline, SampleSpec

# Samples are validated at a place of their own in the sequence of random numbers.
_STREAM = -(2**40)


class ValidationLoss:
    """The loss on samples of the validation volumes, the same ones each time.

    Args:
        spec: of the training samples; augmentation and rejection are left out.
        volumes: the validation volumes.
        loss: of the task.
    """

    def __init__(self, spec: SampleSpec, volumes: tuple[Any, ...], loss: Any) -> None:
        self._loss = loss
        crops = spec.training.validation.crops
        with_rules = spec.training.model_copy(
            update={"min_masked": 0.0, "reject_empty": 0.0, "batch_size": 1}
        )
        pipeline = SamplePipeline(replace(spec, volumes=volumes, training=with_rules, augment=False))
        if crops is None:
            crops = _samples_that_cover(pipeline)
        self._samples: list[Batch] = []
        for number in range(crops):
            sample = pipeline.sample(mix_seed(spec.seed, _STREAM, number))
            self._samples.append({name: np.ascontiguousarray(array)[None] for name, array in sample.items()})
        pipeline.close()

    def measure(self, model: torch.nn.Module, place: Place) -> float:
        """Mean loss of the samples; the network answers as in training, without its last activation."""
        batch_norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        training = model.training
        model.train()
        for module in batch_norms:
            module.eval()
        total = 0.0
        with torch.no_grad():
            for sample in self._samples:
                raw, target, weight = (place.tensor(sample[name]) for name in ("raw", "target", "weight"))
                with place.autocast():
                    total += float(self._loss.compute(model(raw), target, weight))
        model.train(training)
        return total / len(self._samples)


def _samples_that_cover(pipeline: SamplePipeline) -> int:
    voxels = sum(math.prod(volume.labelled_roi.shape) for volume in pipeline.volumes)
    return max(1, -(-voxels // math.prod(pipeline.window.shape)))


class BestCheckpoint:
    """Which iteration has the best value of the criterion, kept in ``best.json``.

    Args:
        directory: of the checkpoints.
        criterion: what the best is chosen by.
        higher_is_better: its direction.
    """

    def __init__(self, directory: Path, criterion: str, higher_is_better: bool) -> None:
        self.directory = directory
        self.criterion = criterion
        self.higher_is_better = higher_is_better

    @property
    def path(self) -> Path:
        """The file that says which checkpoint is the best."""
        return self.directory / "best.json"

    def best_iteration(self, table: Table) -> tuple[int, float] | None:
        """The first iteration with the best value in a table of validation, and that value."""
        best: tuple[int, float] | None = None
        for row in table.rows():
            if row["criterion"] != self.criterion:
                continue
            value = float(row["value"])
            if value != value:
                continue
            better = best is None or (value > best[1] if self.higher_is_better else value < best[1])
            if better:
                best = (int(row["iteration"]), value)
        return best

    def write(self, table: Table, latest: int) -> int:
        """Record the best checkpoint; the latest, where nothing was measured. Returns its iteration."""
        best = self.best_iteration(table)
        iteration, value = best if best is not None else (latest, None)
        path = checkpoint_path(self.directory, iteration)
        known = read_best(self.directory)
        if known is not None and known["iteration"] == iteration and known["file"] == path.name:
            digest = known["digest"]
        else:
            digest = checkpoint_digest(path)
        write_json(
            self.path,
            {
                "criterion": self.criterion if best is not None else None,
                "digest": digest,
                "file": path.name,
                "higher_is_better": self.higher_is_better,
                "iteration": iteration,
                "value": value,
            },
        )
        return iteration


def read_best(directory: Path) -> dict[str, Any] | None:
    """What ``best.json`` in a directory of checkpoints says; None where there is none.

    Raises:
        CheckpointError: it cannot be read.
    """
    path = directory / "best.json"
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}; delete it, and it is made again") from error
    return content
