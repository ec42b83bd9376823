"""Manifests: small files that name the result of a stage and everything that it depends on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.errors import AttaccaError, MissingInputError, summarize_error
from attacca.fingerprint import digest


@dataclass(frozen=True)
class Manifest:
    """Result of a stage and everything that it depends on, without times, hosts and absolute paths.

    Args:
        stage: name of the stage.
        version: number that developers raise when the stage computes another result from the same inputs.
        parameters: parameters that the result depends on.
        inputs: fingerprints of the manifests that the stage read, by name.
        result: facts about the result that later stages need.
    """

    stage: str
    version: int
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    result: Mapping[str, Any] = field(default_factory=dict)

    def key_parts(self) -> dict[str, Any]:
        """Return everything that decides whether a result is still valid, by name."""
        return {
            "stage": self.stage,
            "version": self.version,
            "parameters": dict(self.parameters),
            "inputs": dict(self.inputs),
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ``key_parts`` and of the digests in the result (such as that of a checkpoint)."""
        parts = self.key_parts()
        digests = {key: value for key, value in self.result.items() if key.endswith("digest")}
        return digest({**parts, "digests": digests})

    def to_json(self) -> dict[str, Any]:
        """Return the content of the manifest's file."""
        return {**asdict(self), "fingerprint": self.fingerprint}

    def write(self, path: str | Path) -> None:
        """Write the manifest atomically."""
        write_json(path, self.to_json())


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest.

    Raises:
        MissingInputError: the stage that writes it has not finished.
        AttaccaError: the file is not a manifest.
    """
    try:
        values = json.loads(Path(path).read_bytes())
        if not _has_types(values):
            raise TypeError("a value has another type")
        return Manifest(
            **{key: values[key] for key in ("stage", "version", "parameters", "inputs", "result")}
        )
    except FileNotFoundError:
        raise MissingInputError(
            f"{path} is missing: the stage that writes it has not finished; run the workflow again"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise AttaccaError(
            f"{path} is not a manifest of Attacca ({error}); delete it and run the workflow again"
        ) from None


def read_object(path: str | Path, fix: str) -> dict[str, Any]:
    """Read the values of a JSON file that a stage has written.

    Args:
        path: the file.
        fix: instruction to the user if the file is damaged.

    Raises:
        FileNotFoundError: the file does not exist.
        AttaccaError: the file is damaged: it does not hold a JSON object.
    """
    try:
        value = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise AttaccaError(f"{path} is damaged: {summarize_error(error)}", fix=fix) from None
    if not isinstance(value, dict):
        raise AttaccaError(
            f"{path} is damaged: expected a JSON object, found {type(value).__name__}", fix=fix
        )
    return value


def read_values(path: str | Path) -> dict[str, Any] | None:
    """Read the values of a JSON file, or return None if it is missing, or is not an object as stages write it."""
    try:
        value = json.loads(Path(path).read_text(), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError):
        return None
    return value if _has_types(value) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _has_types(values: Any) -> bool:
    """Return whether a value is an object, in which the members of manifests and plans have their types."""
    types = {"fingerprint": str, "inputs": dict, "parameters": dict, "result": dict}
    if not isinstance(values, dict):
        return False
    has_types = all(isinstance(values[key], kind) for key, kind in types.items() if key in values)
    return has_types and all(isinstance(value, str) for value in values.get("inputs", {}).values())
