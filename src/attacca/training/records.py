"""Files of a training: curves, checkpoints, the record of the best one, snapshots."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.checkpoint import save_checkpoint
from attacca.errors import ConfigurationError
from attacca.tasks import PretrainedReport
from attacca.training.best_checkpoint import BestCheckpoint
from attacca.training.checkpoint_directory import checkpoint_path, prune_checkpoints
from attacca.training.job import TrainingJob
from attacca.training.metrics_table import MetricsTable
from attacca.training.pipeline import Batch, SampleSpec
from attacca.training.snapshot import predict_batch, write_snapshot
from attacca.training.state import TrainingState
from attacca.training.validation_loss import ValidationLoss

_RECOVERY_SECONDS = 60.0


class Records:
    """Writer of a training's files; those of an interrupted run are continued.

    Args:
        job: directory, validation volumes, policy of checkpoints.
        state: of the training.
        spec: specification of the training samples.
        description: configuration for checkpoints, from ``encode_configuration``.
    """

    def __init__(self, job: TrainingJob, state: TrainingState, spec: SampleSpec, description: str) -> None:
        self.job = job
        self.config = job.training
        self.state = state
        self.spec = spec
        self.description = description
        self.files = job.files
        self.checkpoints = self.files.checkpoints
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        done = state.iteration
        self.metrics = MetricsTable(self.files.metrics, ["iteration", "loss", "learning_rate"], done)
        self.validation = MetricsTable(self.files.validation, ["iteration", "criterion", "value"], done)
        self.timing = MetricsTable(self.files.timing, ["iteration", "steps_per_s"], done)
        criterion = self.config.validation.criterion
        self.best = BestCheckpoint(self.checkpoints, criterion, job.higher_is_better and criterion != "loss")
        if not done:
            # An old record is about deleted checkpoints, whose names will be used again.
            self.best.path.unlink(missing_ok=True)
        self._pending: list[dict[str, Any]] = []
        self._recovery_due = time.monotonic() + _RECOVERY_SECONDS
        self._board: Any = None
        self._loss: ValidationLoss | None = None

    def add(self, loss: float, rate: float) -> None:
        """Store loss and learning rate of an iteration until the next checkpoint."""
        row = {"iteration": self.state.iteration, "loss": loss, "learning_rate": rate}
        self._pending.append(row)

    def write_checkpoint(self, batch: Batch, steps_per_second: float) -> None:
        """Write curves, snapshot and checkpoint, in this order, then complete the checkpoint."""
        iteration = self.state.iteration
        self.metrics.append(self._pending)
        self.timing.append([{"iteration": iteration, "steps_per_s": steps_per_second}])
        board = self._open_board()
        for row in self._pending:
            board.add_scalar("loss", row["loss"], row["iteration"])
            board.add_scalar("learning_rate", row["learning_rate"], row["iteration"])
        self._pending.clear()
        interval = self.config.snapshot_interval
        if interval is None or iteration % interval == 0 or iteration == self.config.iterations:
            self._snapshot(batch)
        save_checkpoint(checkpoint_path(self.checkpoints, iteration), self._collect_content())
        self.complete_checkpoint()
        board.flush()

    def _collect_content(self) -> dict[str, Any]:
        return {
            **self.state.collect_content(),
            "configuration": self.description,
            "class_counts": self.spec.class_counts,
            "intensity": self.spec.intensity.as_dict(),
        }

    def write_recovery(self) -> None:
        """Write the state between two checkpoints, once a minute; less often if that takes more than 5 % of the time."""
        begin = time.monotonic()
        if begin < self._recovery_due:
            return
        save_checkpoint(self.files.recovery, {**self._collect_content(), "pending": self._pending})
        end = time.monotonic()
        self._recovery_due = end + max(_RECOVERY_SECONDS, 20 * (end - begin))

    def resume(self, path: Path, content: Mapping[str, Any]) -> None:
        """Continue the files of an interrupted training.

        Args:
            path, content: file and content of the state that was restored.
        """
        if path == self.files.recovery:
            self._pending = list(content["pending"])
        else:
            self.complete_checkpoint()

    def complete_checkpoint(self) -> None:
        """Measure the validation volumes if that is missing, record the best checkpoint, delete old ones."""
        self.files.recovery.unlink(missing_ok=True)
        iteration = self.state.iteration
        rows = self.validation.read_rows()
        known = {row["criterion"] for row in rows if int(row["iteration"]) == iteration}
        measured = self._validate(known)
        self.validation.append(
            [{"iteration": iteration, "criterion": name, "value": value} for name, value in measured.items()]
        )
        for name, value in measured.items():
            self._open_board().add_scalar(f"validation/{name}", value, iteration)
        best = self.best.write(self.validation, iteration)
        prune_checkpoints(self.checkpoints, self.config.checkpoint, also=[best])

    def _validate(self, known: set[str]) -> dict[str, float]:
        if not self.job.validation:
            return {}
        measured: dict[str, float] = {}
        with self.state.use_averaged_weights():
            if "loss" not in known:
                if self._loss is None:
                    self._loss = ValidationLoss(self.spec, self.job.validation, self.state.task.loss)
                measured["loss"] = self._loss.measure(self.state.chain, self.state.device)
            if self._segmentation_is_due() and not known - {"loss"}:
                measured.update(self._score_segmentation())
        return measured

    def _segmentation_is_due(self) -> bool:
        interval = self.config.validation.segmentation_interval
        if interval is None or self.job.validate_segmentation is None:
            return False
        return self.state.iteration % interval == 0 or self.state.iteration == self.config.iterations

    def _score_segmentation(self) -> dict[str, float]:
        assert self.job.validate_segmentation is not None
        self.state.model.eval()
        scores = self.job.validate_segmentation(self.state.model, self.state.iteration)
        self.state.model.train()
        criterion = self.config.validation.criterion
        if criterion != "loss" and criterion not in scores:
            raise ConfigurationError(
                f"training.validation.criterion is {criterion}, but the scores of this task are "
                + ", ".join(sorted(scores))
            )
        return {name: float(scores[name]) for name in sorted(scores)}

    def _snapshot(self, batch: Batch) -> None:
        path = self.files.snapshots / f"iteration_{self.state.iteration:08d}.npz"
        with self.state.use_averaged_weights():
            prediction = predict_batch(self.state.model, batch, self.state.device)
        write_snapshot(path, batch, prediction, list(self.state.task.predictor.channel_names))

    def _open_board(self) -> Any:
        if self._board is None:
            # deferred: TensorBoard takes seconds to import, and is first needed at a checkpoint
            from torch.utils.tensorboard import SummaryWriter

            directory = self.files.directory / "tensorboard"
            self._board = SummaryWriter(str(directory), purge_step=self.state.iteration + 1)
        return self._board

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def write_initial_weights(path: Path, report: PretrainedReport) -> None:
    """Write which weights of a network came from a file.

    Args:
        path: JSON file.
        report: result of loading the weights.
    """
    write_json(path, {"summary": str(report), **asdict(report)})
