"""Problems of the sources of a volume with their keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from attacca.errors import AttaccaError, VolumeError

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class SourceProblem:
    """One problem.

    Attributes:
        key: key below the volume, such as ``("labels", "dataset")``; empty for the volume as a whole.
        error: the problem.
    """

    key: Key
    error: AttaccaError


class SourceProblems:
    """Collects the problems of a volume, so that they are reported at once."""

    def __init__(self) -> None:
        self.found: list[SourceProblem] = []

    @contextmanager
    def at(self, *key: str | int) -> Iterator[None]:
        """Catch an error that is raised in the context, as a problem of ``key``."""
        try:
            yield
        except AttaccaError as error:
            self.found.append(SourceProblem(key, error))

    def check(self) -> None:
        """Raise a single problem as it is, several as one ``VolumeError``."""
        if len(self.found) == 1:
            raise self.found[0].error
        if self.found:
            raise VolumeError("; ".join(str(problem.error) for problem in self.found))
