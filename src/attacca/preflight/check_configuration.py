"""Checks of a configuration against its volumes, before any job starts."""

import errno
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attacca.arrays.identifier import is_url
from attacca.arrays.storage import list_objects
from attacca.config.load import build_configuration_error
from attacca.config.problems import Problem, format_value
from attacca.config.run import Configuration
from attacca.config.yaml_text import KeyPath, find_unset_variables, read_yaml
from attacca.errors import VolumeError
from attacca.preflight.check_annotation import check_annotation
from attacca.preflight.check_export import check_export
from attacca.preflight.check_intensity import check_intensity
from attacca.preflight.check_labels import check_labels
from attacca.preflight.check_model import check_model
from attacca.preflight.check_paths import check_paths
from attacca.preflight.check_run import check_run
from attacca.preflight.check_run_length import check_run_length
from attacca.preflight.check_shared_voxels import check_shared_voxels
from attacca.preflight.check_training import check_training
from attacca.volumes import VolumePlan, examine_volume
from attacca.volumes.check_sources import SourceChecks, check_sources


@dataclass(frozen=True)
class CheckedConfiguration:
    """Result of the checks of a configuration without problems.

    Args:
        plans: import of each volume that a run uses, by the volume's name.
        warnings: messages about settings that are valid, but probably unintended.
        notes: descriptions of the values that were examined, by the volume's name.
    """

    plans: dict[str, VolumePlan]
    warnings: list[str]
    notes: dict[str, list[str]]


def check_configuration(
    configuration: Configuration, path: Path, check_data: bool = True
) -> CheckedConfiguration:
    """Open the volumes and check that volumes, tasks and networks fit each other.

    Only headers are read, except where the configuration leaves open which values a volume holds: then voxels of some
    sections are read. Of data that are used in place, directories are listed and values are checked.

    Args:
        configuration: contents of the file.
        path: the file, for the line numbers in messages.
        check_data: whether to look for missing chunks and impossible values of data that are used in place.

    Raises:
        ConfigurationError: lists every problem with its line.
    """
    values, lines = read_yaml(path)
    problems = list(check_paths(configuration)) or list(check_directories(configuration))
    plans: dict[str, VolumePlan] = {}
    volume_warnings: dict[str, list[str]] = {}
    warnings: list[str] = []
    notes: dict[str, list[str]] = {}
    for name in configuration.volumes:
        if any(name in run.volumes.used for run in configuration.runs.values()):
            plan, found = examine_volume(configuration.volumes[name])
            if plan is not None:
                checks = check_sources(configuration.volumes[name], plan) if check_data else SourceChecks()
                found = checks.problems
                for text in (*plan.warnings, *checks.warnings):
                    volume_warnings.setdefault(text, []).append(name)
                notes[name] = checks.notes
                if not found:
                    plans[name] = plan
            for problem in found:
                key = ("volumes", name, *problem.key)
                problems.append(
                    Problem(
                        key, _value_at(values, key), message=problem.error.problem, hint=problem.error.fix
                    )
                )
    # Volumes that are parts of one image share its warnings.
    for text, names in volume_warnings.items():
        warnings.append(f"volumes.{', '.join(dict.fromkeys(names))}: {text}")
    for name, run in configuration.runs.items():
        problems += check_run(configuration, name, run, plans)
        problems += check_labels(configuration, name, run, plans)
        problems += check_export(name, run, plans)
        problems += check_run_length(configuration, name, run, plans)
        # A volume with a problem is not read again.
        sound = {
            volume: plan
            for volume, plan in plans.items()
            if not any(problem.path[:2] == ("volumes", volume) for problem in problems)
        }
        for item in (
            *check_training(name, run, plans),
            *check_annotation(configuration, name, run, sound),
            *check_intensity(configuration, name, run, plans),
            *check_model(configuration, name, run, plans),
            *check_shared_voxels(configuration, name, run, plans),
        ):
            if isinstance(item, Problem):
                problems.append(item)
            else:
                warnings.append(item)
    if problems:
        # Runs that share a volume report the same problem in it.
        raise build_configuration_error(path, list(dict.fromkeys(_add_variables(problems, path))), lines)
    return CheckedConfiguration(plans, list(dict.fromkeys(warnings)), notes)


def check_directories(configuration: Configuration) -> Iterator[Problem]:
    """Yield a problem for each directory of results that cannot be created or written to, and for an object store that
    cannot be listed, or whose bucket does not exist.
    """
    directories = {"results": configuration.results}
    if configuration.storage and is_url(configuration.storage):
        try:
            list_objects(configuration.storage, limit=1)
        except VolumeError as error:
            yield Problem(("storage",), f"'{configuration.storage}'", message=error.problem, hint=error.fix)
    elif configuration.storage:
        directories["storage"] = Path(configuration.storage)
    for key, directory in directories.items():
        existing = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
        if not existing.is_dir():
            which = "is" if existing == directory else f"is below {existing}, which is"
            kind = "a broken link" if existing.is_symlink() and not existing.exists() else "a file"
            found = f"'{directory}', which {which} {kind}"
            yield Problem((key,), found, "a directory, or the name of a new directory")
            continue
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                found = f"'{directory}': no file can be created in {existing} ({error.strerror})"
                yield Problem((key,), found, "a directory in which you may create files")


def _add_variables(problems: list[Problem], path: Path) -> Iterator[Problem]:
    """Add a hint to each problem of a value that contains the default of an unset environment variable."""
    defaults = find_unset_variables(path)
    for problem in problems:
        hints = [
            f"the environment variable {name} is not set and its default '{default}' is used: set it if the data are "
            "located elsewhere"
            for name, default in defaults.get(problem.path, {}).items()
        ]
        yield replace(problem, hint="; ".join(filter(None, [problem.hint, *hints])))


def _value_at(values: Any, key: KeyPath) -> str:
    """Return the value that the file has under a key; empty for a missing key and for a section."""
    for part in key:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return ""
    return "" if isinstance(values, dict) else format_value(values)
