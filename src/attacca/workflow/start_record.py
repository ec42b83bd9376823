"""Record of the last start of the workflow, from which later commands find its configuration."""

import json
import os
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
from attacca.jobs.stage import plain_values
from attacca.layout import Layout
from attacca.manifest import read_values


@dataclass(frozen=True)
class StartRecord:
    """The last start of the workflow that writes into a directory of results.

    Args:
        configuration_file: file of the configuration.
        overrides: settings of ``--config``.
        configuration_digest: SHA-256 of the whole configuration with its defaults.
        host: name of the machine of the start; empty if it is unknown.
    """

    configuration_file: Path
    overrides: Mapping[str, Any]
    configuration_digest: str
    host: str = ""


def configuration_values(configuration: Configuration) -> dict[str, Any]:
    """Return the configuration with all defaults, without the settings that change no result."""
    values = plain_values(configuration)
    for name in ("results", "storage", "execution"):
        values.pop(name)
    return values


def write_start_record(configuration: Configuration, path: Path, overrides: Mapping[str, Any]) -> None:
    """Record beside the results how the workflow is started, and the settings of each run in its directory."""
    layout, values = Layout(configuration.results), configuration_values(configuration)
    write_json(
        layout.start_record(),
        {
            "configuration_file": str(path.absolute()),
            # From here, a moved or copied project finds its own configuration.
            "relative_configuration_file": os.path.relpath(path.absolute(), configuration.results),
            "overrides": json.loads(canonical_json(dict(overrides))),
            "configuration_digest": digest(values),
            "execution": plain_values(configuration.execution),
            "host": socket.gethostname(),
        },
    )
    for name in configuration.runs:
        write_json(layout.run_record(name), values["runs"][name])


def read_start_record(results: Path) -> StartRecord:
    """Read the record of the last start.

    Raises:
        MissingInputError: no workflow was started with this directory, or the file is damaged.
    """
    path = Layout(results).start_record()
    if not path.exists():
        raise MissingInputError(
            f"{results} has no {path.name}: no workflow wrote there yet. Give the directory that 'results' of "
            "the configuration names, or name the configuration with --configfile"
        )
    values = read_values(path) or {}
    try:
        relative = results.absolute() / values.get("relative_configuration_file", "")
        return StartRecord(
            Path(os.path.normpath(relative)) if relative.is_file() else Path(values["configuration_file"]),
            dict(values["overrides"]),
            str(values["configuration_digest"]),
            str(values.get("host", "")),
        )
    except (ValueError, KeyError, TypeError):
        raise MissingInputError(
            f"{path} does not name the configuration of the last start; expected are 'configuration_file', 'overrides' "
            "and 'configuration_digest'. Name the configuration with --configfile, or start the workflow again, which "
            "writes the file"
        ) from None


def read_recorded_configuration(results: Path, configuration_file: Path | None = None) -> Configuration:
    """Read the configuration of a directory of results: that of the last start, or the given file.

    Raises:
        MissingInputError: no start is recorded, or the file does not exist.
        ConfigurationError: the file has errors.
    """
    overrides: Mapping[str, Any] = {}
    if configuration_file is None:
        record = read_start_record(results)
        configuration_file, overrides = record.configuration_file, record.overrides
    return load_configuration(configuration_file, {**overrides, "results": str(results.absolute())})
