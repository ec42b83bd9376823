"""Files that store the best iteration of a training for each data set and criterion."""

from pathlib import Path
from urllib.parse import quote

from attacca.atomic import write_json
from attacca.errors import MissingInputError
from attacca.manifest import read_object


class BestWeights:
    """Store of the best iterations, in ``DIRECTORY/DATASET/CRITERION.json``.

    Args:
        directory: directory of the files.

    Examples:
        >>> from tempfile import mkdtemp
        >>> best = BestWeights(mkdtemp())
        >>> best.store("cube", "voi", 1200, 0.75)
        >>> best.retrieve("cube", "voi")
        (1200, 0.75)
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def path(self, dataset: str, criterion: str) -> Path:
        """Return the file of a data set and a criterion. Names are quoted, so that it is in the directory."""
        parts = [quote(name, safe=" _-=,()").replace(".", "%2E") for name in (dataset, criterion)]
        return self.directory / parts[0] / f"{parts[1]}.json"

    def store(self, dataset: str, criterion: str, iteration: int, score: float) -> None:
        """Store the best iteration and its score."""
        write_json(self.path(dataset, criterion), {"iteration": int(iteration), "score": float(score)})

    def retrieve(self, dataset: str, criterion: str) -> tuple[int, float]:
        """Return the best iteration and its score.

        Raises:
            MissingInputError: no iteration is stored for this data set and criterion.
        """
        path = self.path(dataset, criterion)
        try:
            best = read_object(path, "delete it and validate again")
        except FileNotFoundError:
            raise MissingInputError(
                f"{path}: no best iteration is stored for data set '{dataset}' and criterion '{criterion}'; "
                "validate with that data set first, or name the iteration"
            ) from None
        return int(best["iteration"]), float(best["score"])
