"""Checks of a configuration that need a look at the volumes: what pydantic cannot see."""

import errno
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attacca.config.load import problems_error
from attacca.config.problems import Problem, shown
from attacca.config.run import Configuration
from attacca.config.yaml_text import KeyPath, defaults_used, read_yaml
from attacca.preflight.check_labels import check_labels
from attacca.preflight.check_run import check_run
from attacca.preflight.check_training import check_intensity, check_training
from attacca.volumes import VolumePlan, examine_volume


@dataclass(frozen=True)
class Inspection:
    """What a look at the volumes of a configuration without problems brought to light.

    Attributes:
        plans: the import of each volume that a run uses, by name.
        warnings: what can be computed, but is hardly meant.
    """

    plans: dict[str, VolumePlan]
    warnings: list[str]


def check_configuration(configuration: Configuration, path: Path) -> Inspection:
    """Open every volume and check that volumes, tasks and networks fit each other.

    Headers are read; voxels of some sections only where the configuration leaves open what they are.

    Raises:
        ConfigurationError: lists every problem with its line.
    """
    problems: list[Problem] = [*check_directories(configuration)]
    plans: dict[str, VolumePlan] = {}
    used = {
        name for run in configuration.runs.values() for name in (*run.volumes.train, *run.volumes.segmented)
    }
    values, lines = read_yaml(path)
    for name, config in configuration.volumes.items():
        if name not in used:
            continue
        plan, found = examine_volume(config)
        if plan is not None:
            plans[name] = plan
        for problem in found:
            place = ("volumes", name, *problem.key)
            problems.append(Problem(place, _written(values, place), message=str(problem.error)))
    warnings = [f"volumes.{name}: {text}" for name, plan in plans.items() for text in plan.warnings]
    for name, run in configuration.runs.items():
        problems.extend(check_run(configuration, name, run, plans))
        problems.extend(check_labels(configuration, name, run, plans))
        problems.extend(check_training(name, run, plans))
        of_grays, doubts = check_intensity(configuration, name, run, plans)
        problems.extend(of_grays)
        warnings.extend(doubts)
    if problems:
        # Runs that share a volume find the same in it.
        raise problems_error(path, list(dict.fromkeys(_with_variables(problems, path))), lines)
    return Inspection(plans, list(dict.fromkeys(warnings)))


def _with_variables(problems: list[Problem], path: Path) -> Iterable[Problem]:
    """Where a value was made with the default of an environment variable, the variable may be what is missing."""
    defaults = defaults_used(path)
    for problem in problems:
        names = defaults.get(problem.path, {})
        hints = [
            f"the environment variable {name} is not set, so that '{text}' is used for it: set it, if the data "
            "stand elsewhere"
            for name, text in names.items()
        ]
        yield replace(problem, hint="; ".join(filter(None, [problem.hint, *hints])))


def _written(values: Any, place: KeyPath) -> str:
    """The value at a place of the file, where it is no section but something that can be shown."""
    for part in place:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return ""
    return "" if isinstance(values, dict) else shown(values)


def check_directories(configuration: Configuration) -> Iterable[Problem]:
    """Directories in which nothing can be written; nothing is left there by the look."""
    places = {"results": configuration.results}
    if configuration.storage and "://" not in configuration.storage:
        places["storage"] = Path(configuration.storage)
    for key, place in places.items():
        # The rest is made when it is needed.
        there = next(path for path in (place, *place.parents) if os.path.lexists(path))
        if not there.is_dir():
            which = "is" if there == place else f"lies below {there}, which is"
            kind = "a link that leads nowhere" if there.is_symlink() and not there.exists() else "a file"
            yield Problem((key,), f"'{place}', which {which} {kind}", "a directory, or the name of a new one")
            continue
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                yield Problem(
                    (key,),
                    f"'{place}': nothing can be written into {there} ({error.strerror})",
                    "a directory that you may write into",
                )
