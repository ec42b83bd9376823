"""What was asked for, kept beside the results: later commands know the configuration without being told."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.config.load import load_configuration
from attacca.config.run import Configuration
from attacca.errors import MissingInputError
from attacca.fingerprint import canonical_json, digest

_NAME = "workflow.json"


@dataclass(frozen=True)
class WorkflowRecord:
    """The last start of the workflow that writes into a directory of results.

    Args:
        configuration_file: the file that was read.
        overrides: what ``--config`` set.
        configuration_digest: SHA-256 of the whole configuration as it was understood.
        host: name of the machine on which it was started; empty where nobody noted it.
    """

    configuration_file: Path
    overrides: Mapping[str, Any]
    configuration_digest: str
    host: str = ""


def configuration_values(configuration: Configuration) -> dict[str, Any]:
    """The configuration as understood, with all defaults, without what changes no result."""
    values = configuration.model_dump(mode="json", by_alias=True)
    for name in ("results", "storage", "execution"):
        values.pop(name)
    return values


def write_record(configuration: Configuration, path: Path, overrides: Mapping[str, Any]) -> None:
    """Note beside the results what the workflow is started with, and each run's settings in its directory."""
    values = configuration_values(configuration)
    write_json(
        configuration.results / _NAME,
        {
            "configuration_file": str(path.absolute()),
            "overrides": json.loads(canonical_json(dict(overrides))),
            "configuration_digest": digest(values),
            "execution": configuration.execution.model_dump(mode="json", by_alias=True),
            "host": socket.gethostname(),
        },
    )
    for name in configuration.runs:
        write_json(configuration.results / name / "run.json", values["runs"][name])


def read_record(results: Path) -> WorkflowRecord:
    """What ``write_record`` noted.

    Raises:
        MissingInputError: no workflow was started with this directory, or the file is not as it was written.
    """
    path = results / _NAME
    if not path.exists():
        raise MissingInputError(
            f"{results} has no {_NAME}: no workflow wrote there yet. Give the directory that 'results' of "
            "the configuration names, or say the configuration with --configfile"
        )
    try:
        values = json.loads(path.read_text())
        record = WorkflowRecord(
            Path(values["configuration_file"]),
            dict(values["overrides"]),
            str(values["configuration_digest"]),
            str(values.get("host", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise MissingInputError(
            f"{path} does not say with which configuration the workflow was started; expected are "
            "'configuration_file', 'overrides' and 'configuration_digest'. Say the configuration with --configfile, or "
            "start the workflow again, which writes the file anew"
        ) from None
    return record


def recorded_configuration(results: Path, configuration_file: Path | None = None) -> Configuration:
    """The configuration of a directory of results: that of the last start, or of the given file.

    Raises:
        MissingInputError: nothing is recorded, or the file has gone.
        ConfigurationError: the file has problems.
    """
    if configuration_file is not None:
        return load_configuration(configuration_file, {"results": str(results.absolute())})
    record = read_record(results)
    return load_configuration(
        record.configuration_file, {**record.overrides, "results": str(results.absolute())}
    )
