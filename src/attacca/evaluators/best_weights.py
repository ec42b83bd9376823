"""Which iteration was best, on disk: stored and found under one name."""

import json
from pathlib import Path
from urllib.parse import quote

from attacca.atomic import write_json
from attacca.errors import MissingInputError


class BestWeights:
    """Remembers the best iteration by data set and criterion, in ``DIRECTORY/DATASET/CRITERION.json``.

    Args:
        directory: where the files stand.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def path(self, dataset: str, criterion: str) -> Path:
        """The file for a data set and a criterion; names are quoted, so that none leaves its place."""
        parts = [quote(name, safe=" _-=,()").replace(".", "%2E") for name in (dataset, criterion)]
        return self.directory / parts[0] / f"{parts[1]}.json"

    def store(self, dataset: str, criterion: str, iteration: int, score: float) -> None:
        """Remember ``iteration`` as the best one, with its score."""
        write_json(self.path(dataset, criterion), {"iteration": int(iteration), "score": float(score)})

    def retrieve(self, dataset: str, criterion: str) -> tuple[int, float]:
        """The best iteration and its score.

        Raises:
            MissingInputError: none was stored for this data set and criterion.
        """
        path = self.path(dataset, criterion)
        try:
            entry = json.loads(path.read_text())
        except FileNotFoundError:
            raise MissingInputError(
                f"{path}: no best iteration was stored for data set '{dataset}' and criterion '{criterion}'; "
                "validate with that data set first, or name the iteration"
            ) from None
        return int(entry["iteration"]), float(entry["score"])
