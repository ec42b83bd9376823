"""What is wrong with the sources of a volume, each mistake with the key that it belongs to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from attacca.errors import AttaccaError, VolumeError

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class SourceMistake:
    """One mistake.

    Attributes:
        key: below the volume, such as ``("labels", "dataset")``; empty for the volume as a whole.
        error: what is wrong.
    """

    key: Key
    error: AttaccaError


class SourceMistakes:
    """Collects the mistakes of a volume, so that they can be told all at once."""

    def __init__(self) -> None:
        self.found: list[SourceMistake] = []

    @contextmanager
    def at(self, *key: str | int) -> Iterator[None]:
        """Note an error that is raised here as a mistake of ``key``, and go on behind the block."""
        try:
            yield
        except AttaccaError as error:
            self.found.append(SourceMistake(key, error))

    def check(self) -> None:
        """Raise what was found: a single mistake as it is, several as one ``VolumeError``."""
        if len(self.found) == 1:
            raise self.found[0].error
        if self.found:
            raise VolumeError("; ".join(str(mistake.error) for mistake in self.found))
