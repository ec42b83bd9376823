"""Second computation of results in another directory.

A marker file names the reproduced results. An unfinished reproduction is continued. A finished one, or a directory of
other origin, is refused: its contents would be compared without having been computed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from attacca.atomic import write_json, write_text
from attacca.config.load import load_configuration
from attacca.errors import AttaccaError, ConfigurationError, MissingInputError
from attacca.fingerprint import canonical_json, digest
from attacca.layout import Layout
from attacca.manifest import read_values

_MARKER = "reproduction.json"


def resolve_directories(results: Path, into: Path | None, nested: bool = False) -> tuple[Path, Path]:
    """Return the directories of the results and of their reproduction, without links and dots.

    Args:
        results: directory of the results.
        into: directory of the reproduction; beside ``results`` by default.
        nested: whether one directory may contain the other.

    Raises:
        ConfigurationError: both are the same directory, or one contains the other.
    """
    first = results.resolve()
    default = first.with_name(first.name + "-reproduced")
    named = into or default
    second = named.resolve()
    option = f"--into {named}" + (f" (which is {second})" if named.absolute() != second else "")
    if second == first:
        raise ConfigurationError(f"{option} is the directory of the results {first}; name another directory")
    if not nested and (second.is_relative_to(first) or first.is_relative_to(second)):
        relation = "is inside" if second.is_relative_to(first) else "contains"
        raise ConfigurationError(
            f"{option} {relation} the results {first}; name a directory beside them, such as {default}"
        )
    return first, second


def read_provenances(results: Path, runs: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the contents of ``provenance.json`` of each run in a directory of results, by the run's name.

    Args:
        results: directory of results.
        runs: names of the runs to read; all runs by default.

    Raises:
        MissingInputError: the directory does not hold results, or a run has no such file.
        AttaccaError: a file was not written by the workflow, or is incomplete.
    """
    layout = Layout(results)
    paths = {path.parent.name: path for path in sorted(results.glob(f"*/{layout.provenance('').name}"))}
    if not paths and not layout.start_record().exists():
        state = "is a file" if results.is_file() else "is not there"
        raise MissingInputError(
            f"{results} {'has no workflow.json' if results.is_dir() else state}, so it is not a directory of results; "
            "give the directory that 'results' of the configuration names"
        )
    missing = [str(layout.provenance(name)) for name in runs or [] if name not in paths]
    if missing or not paths:
        others = f". Runs that have one: {', '.join(paths)}" if paths else ""
        raise MissingInputError(
            f"found no {', '.join(missing) or layout.provenance('*')}: the workflow writes it last; "
            f"let it finish first{others}"
        )
    return {name: _read_provenance(paths[name]) for name in (paths if runs is None else runs)}


def _read_provenance(path: Path) -> dict[str, Any]:
    values = read_values(path)
    configuration, outputs = (_as_mapping((values or {}).get(key)) for key in ("configuration", "outputs"))
    stages = [_as_mapping(stage) for stage in outputs.values()]
    if (
        values is not None
        and path.parent.name in _as_mapping(configuration.get("runs"))
        and _as_mapping(configuration.get("volumes"))
        and stages
        and all(isinstance(details, dict) for stage in stages for details in stage.values())
    ):
        return values
    found = "invalid or incomplete JSON"
    if values is not None:
        found = f"the keys {', '.join(values) or '(none)'}"
    raise AttaccaError(
        f"{path}: found {found}, expected the configuration of the run {path.parent.name} and the digests of its "
        "results. Delete it and start the workflow again, which writes it from the results"
    )


def _as_mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def reproduced_configuration(
    provenances: Mapping[str, Mapping[str, Any]], results: Path, path: Path | None = None
) -> dict[str, Any]:
    """Return the configuration of a second computation, as plain values.

    Args:
        provenances: return value of ``read_provenances``.
        results: directory of the first results.
        path: file of another configuration; that of the provenances by default.

    Raises:
        ConfigurationError: the other file lacks a run, or has problems.
    """
    if path is not None:
        values: dict[str, Any] = load_configuration(path).model_dump(mode="json", by_alias=True)
        values.pop("storage")
    else:
        values = {"volumes": {}, "runs": {}}
        for provenance in provenances.values():
            for section in values:
                values[section] |= provenance["configuration"][section]
        values["execution"] = (read_values(Layout(results).start_record()) or {}).get("execution", {})
    missing = [name for name in provenances if name not in values["runs"]]
    if missing:
        raise ConfigurationError(f"{path} has no run {', '.join(missing)}, which {results} holds")
    return values | {"runs": {name: values["runs"][name] for name in values["runs"] if name in provenances}}


class Reproduction:
    """Directory of a second computation of results.

    Args:
        directory: the directory.
        original: directory of the results that are computed again.
        values: the configuration, as plain values.
    """

    def __init__(self, directory: Path, original: Path, values: Mapping[str, Any]) -> None:
        self.directory = directory
        self.configuration = directory / "configuration.yaml"
        self._values = json.loads(canonical_json({**values, "results": str(directory)}))
        self._purpose: dict[str, Any] = {
            "of": str(original),
            "runs": sorted(values["runs"]),
            "configuration digest": digest({key: self._values[key] for key in ("volumes", "runs")}),
        }

    @property
    def targets(self) -> list[Path]:
        """Files that the workflow has to write, one per run."""
        return [Layout(self.directory).provenance(run) for run in self._purpose["runs"]]

    def begin(self) -> None:
        """Create the directory, or check that an unfinished reproduction for the same purpose is in it.

        Raises:
            ConfigurationError: the directory has other contents, or the reproduction is finished.
            AttaccaError: the directory cannot be created.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            names = sorted(path.name for path in self.directory.iterdir())
            # Only a temporary file is left if an earlier start was killed while it wrote the marker.
            if not all(name.startswith(f".{_MARKER}.") for name in names):
                self._check_contents(names)
            # The marker comes first, so that a start that is killed from here on can be continued.
            self._write_marker(finished=False)
            write_text(self.configuration, yaml.safe_dump(self._values, sort_keys=False))
        except FileExistsError:
            raise ConfigurationError(f"--into {self.directory} is a file; name a directory") from None
        except OSError as error:
            raise AttaccaError(
                f"--into {self.directory}: results cannot be written ({error.strerror}: {error.filename}); "
                "name another directory"
            ) from None

    def finish(self) -> None:
        """Mark everything as computed."""
        self._write_marker(finished=True)

    def _write_marker(self, finished: bool) -> None:
        write_json(self.directory / _MARKER, {**self._purpose, "finished": finished})

    def _check_contents(self, names: list[str]) -> None:
        marker = read_values(self.directory / _MARKER)
        if marker is None:
            raise ConfigurationError(
                f"{self.directory} is not empty (it contains {', '.join(names[:3])}) and is not a reproduction: its "
                "contents would be compared without having been computed. Name an empty or a new directory with --into, "
                "or compare its contents with --compare-only"
            )
        title = f"{self.directory} holds a reproduction of {marker.get('of')}"
        fix = "delete it, or name another directory with --into"
        if marker.get("of") != self._purpose["of"]:
            raise ConfigurationError(f"{title}; {fix}")
        if marker.get("finished"):
            raise ConfigurationError(
                f"{title} that is finished: nothing would be computed. To compute again, {fix}; to see the comparison "
                "again, add --compare-only"
            )
        if any(marker.get(key) != value for key, value in self._purpose.items()):
            raise ConfigurationError(
                f"{title} that was started with another configuration or other runs "
                f"({', '.join(map(str, marker.get('runs', [])))}). To continue it, run the same command as then; "
                f"otherwise {fix}"
            )
