"""What is wrong with the sources of a volume, each problem with the key that it belongs to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from attacca.errors import AttaccaError, VolumeError

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class SourceProblem:
    """One problem.

    Attributes:
        key: below the volume, such as ``("labels", "dataset")``; empty for the volume as a whole.
        error: what is wrong.
    """

    key: Key
    error: AttaccaError


class SourceProblems:
    """Collects the problems of a volume, so that they can be told all at once."""

    def __init__(self) -> None:
        self.found: list[SourceProblem] = []

    @contextmanager
    def at(self, *key: str | int) -> Iterator[None]:
        """Note an error that is raised here as a problem of ``key``, and go on behind the block."""
        try:
            yield
        except AttaccaError as error:
            self.found.append(SourceProblem(key, error))

    def check(self) -> None:
        """Raise what was found: a single problem as it is, several as one ``VolumeError``."""
        if len(self.found) == 1:
            raise self.found[0].error
        if self.found:
            raise VolumeError("; ".join(str(problem.error) for problem in self.found))
