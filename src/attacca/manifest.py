"""Manifests: the small files through which a stage tells the next one what it made, and from what."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.errors import AttaccaError, MissingInputError
from attacca.fingerprint import digest


@dataclass(frozen=True)
class Manifest:
    """What a stage made, and the fingerprint of all that it depends on. It holds no time, host or absolute path.

    Args:
        stage: name of the stage.
        version: raised by developers whenever the stage computes something else from the same inputs.
        parameters: the parameters that matter for the result.
        inputs: fingerprints of the manifests that the stage read, by name.
        result: what later stages need to know.
    """

    stage: str
    version: int
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    result: Mapping[str, Any] = field(default_factory=dict)

    def key_parts(self) -> dict[str, Any]:
        """Everything that decides whether a result is still valid, by name."""
        return {
            "stage": self.stage,
            "version": self.version,
            "parameters": dict(self.parameters),
            "inputs": dict(self.inputs),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ``key_parts`` and the digests that the result names (a checkpoint's, say)."""
        parts = self.key_parts()
        digests = {key: value for key, value in self.result.items() if key.endswith("digest")}
        return digest({**parts, "digests": digests})

    def to_json(self) -> dict[str, Any]:
        """The manifest as it stands in its file."""
        return {**asdict(self), "fingerprint": self.fingerprint}

    def write(self, path: str | Path) -> None:
        """Write the manifest, whole or not at all."""
        write_json(path, self.to_json())


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest.

    Raises:
        MissingInputError: the stage that writes it has not finished.
        AttaccaError: the file is not a manifest.
    """
    try:
        values = json.loads(Path(path).read_text())
        return Manifest(
            **{key: values[key] for key in ("stage", "version", "parameters", "inputs", "result")}
        )
    except FileNotFoundError:
        raise MissingInputError(
            f"{path} is missing: the stage that writes it has not finished; run the workflow again"
        ) from None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise AttaccaError(
            f"{path} is not a manifest of Attacca ({error}); delete it and run the workflow again"
        ) from None
