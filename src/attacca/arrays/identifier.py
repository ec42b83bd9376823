"""Where an array stands: a container and a data set in it."""

import os
from dataclasses import dataclass
from pathlib import Path


def is_url(path: str | Path) -> bool:
    """Whether a path is an object-store URL (``s3://bucket/key``) rather than a local file."""
    return "://" in str(path)


def join(container: str | Path, *names: str) -> str:
    """Path or URL below ``container``; empty names and superfluous slashes vanish."""
    parts = [part for name in names for part in str(name).split("/") if part]
    base = str(container).rstrip("/") if is_url(container) else os.fspath(container)
    return "/".join([base.rstrip("/") or "/", *parts]) if parts else base


@dataclass(frozen=True)
class LocalArrayIdentifier:
    """A container (a directory, or an ``s3://`` URL) and the name of a data set in it (``raw/s0``)."""

    container: Path | str
    dataset: str

    def __str__(self) -> str:
        return join(self.container, self.dataset)
