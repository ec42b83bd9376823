"""Record of the best checkpoint, ``best.json``."""

import json
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.checkpoint import checkpoint_digest
from attacca.errors import CheckpointError
from attacca.layout import BEST_CHECKPOINT
from attacca.training.checkpoint_directory import checkpoint_path
from attacca.training.metrics_table import MetricsTable


class BestCheckpoint:
    """Iteration with the best value of the criterion, stored in ``best.json``.

    Args:
        directory: of the checkpoints.
        criterion: name of the value in the table of validation.
        higher_is_better: direction of the criterion.
    """

    def __init__(self, directory: Path, criterion: str, higher_is_better: bool) -> None:
        self.directory = directory
        self.criterion = criterion
        self.higher_is_better = higher_is_better

    @property
    def path(self) -> Path:
        """Path of ``best.json``."""
        return self.directory / BEST_CHECKPOINT

    def find_best(self, table: MetricsTable) -> tuple[int, float] | None:
        """Return the first iteration with the best value in a table of validation, and that value; None without one."""
        best: tuple[int, float] | None = None
        for row in table.read_rows():
            if row["criterion"] != self.criterion:
                continue
            value = float(row["value"])
            if value != value:
                continue
            better = best is None or (value > best[1] if self.higher_is_better else value < best[1])
            if better:
                best = (int(row["iteration"]), value)
        return best

    def write(self, table: MetricsTable, latest: int) -> int:
        """Record the best checkpoint, or the latest if nothing was measured; return its iteration."""
        best = self.find_best(table)
        iteration, value = best if best is not None else (latest, None)
        path = checkpoint_path(self.directory, iteration)
        previous = read_best(self.directory)
        if previous is not None and previous["iteration"] == iteration and previous["file"] == path.name:
            digest = previous["digest"]
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
    """Return the content of ``best.json`` in a directory of checkpoints; None if it does not exist.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = directory / BEST_CHECKPOINT
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}; delete it to have it written again"
        ) from error
    return content
