"""Loading of a configuration file, with a list of all its problems."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from attacca.config.applied_model import insert_models
from attacca.config.problems import Problem, format_problems, list_problems, suggest_name
from attacca.config.run import Configuration
from attacca.config.yaml_text import KeyPath, read_yaml
from attacca.errors import AttaccaError, ConfigurationError
from attacca.extensions import forget_extensions, load_extension

Model = TypeVar("Model", bound=BaseModel)


def load_configuration(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Configuration:
    """Read and check a configuration file, without opening the volumes that it names.

    Keys at the top that begin with ``x-`` hold YAML anchors and are not read. Paths in the file are relative to the
    file; they are made absolute.

    Args:
        path: the YAML file.
        overrides: values that replace those of the file, such as those of ``--config results=elsewhere``.

    Raises:
        ConfigurationError: lists every problem with its line.
    """
    path = Path(path).absolute()
    values, lines = read_yaml(path)
    values = {key: value for key, value in values.items() if not str(key).startswith("x-")}
    directory = path.parent
    for key, value in (overrides or {}).items():
        values[key] = _locate_results(value) if key == "results" else value
    problems = _load_extensions(values.get("extensions"), directory)
    if problems:
        # Without the extensions, each section that selects one would be a further problem.
        raise build_configuration_error(path, problems, lines)
    values, problems = insert_models(values, directory)
    problems += _find_unknown_volumes(values)
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        raise build_configuration_error(path, list_problems(error, Configuration) + problems, lines) from None
    if problems:
        raise build_configuration_error(path, problems, lines)
    return _make_paths_absolute(configuration, directory)


def _load_extensions(paths: Any, directory: Path) -> list[Problem]:
    """Load the files under ``extensions``, and return their problems."""
    forget_extensions()
    problems = []
    # Validation of the whole configuration reports values that are not paths.
    for index, text in enumerate(paths if isinstance(paths, list) else []):
        if isinstance(text, str):
            try:
                load_extension(Path(os.path.normpath(directory / Path(text).expanduser())))
            except AttaccaError as error:
                problems.append(Problem(("extensions", index), message=error.problem, hint=error.fix))
    return problems


def _locate_results(value: Any) -> str:
    """Return the directory that ``--config results=...`` names, relative to the working directory.

    Snakemake converts the text to a number or a boolean where it can.

    Raises:
        ConfigurationError: the text is empty or was converted to something that may have lost characters.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value or "://" in value or "\0" in value:
        found = "nothing" if value in (None, "") else repr(value)
        raise ConfigurationError(
            f"--config results=...: found {found}, expected a directory; write --config results=./NAME"
        )
    return str(Path.cwd() / value)


def build_configuration_error(
    path: Path, problems: list[Problem], lines: Mapping[KeyPath, int]
) -> ConfigurationError:
    """Return one error that lists all problems of the file in the order of its lines.

    Args:
        path: the file.
        problems: at least one.
        lines: line of each key path.
    """
    paragraphs = format_problems(problems, lines)
    heading = (
        f"{path} has {len(paragraphs)} problem{'s' if len(paragraphs) > 1 else ''}; nothing was started."
    )
    return ConfigurationError("\n\n".join([heading, *paragraphs]))


def _make_paths_absolute[Model: BaseModel](model: Model, directory: Path) -> Model:
    changes = {name: _make_absolute(getattr(model, name), directory) for name in type(model).model_fields}
    fields_set = model.model_fields_set
    copy = model.model_copy(update=changes)
    copy.__pydantic_fields_set__.clear()
    copy.__pydantic_fields_set__.update(fields_set)
    return copy


def _make_absolute(value: Any, directory: Path) -> Any:
    if isinstance(value, Path):
        return Path(os.path.normpath(directory / value.expanduser()))
    if isinstance(value, BaseModel):
        return _make_paths_absolute(value, directory)
    if isinstance(value, dict):
        return {key: _make_absolute(item, directory) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_make_absolute(item, directory) for item in value)
    return value


def _find_unknown_volumes(values: Mapping[str, Any]) -> list[Problem]:
    """Return a problem for each volume of a run that the file does not define, even if the file has other problems."""
    volumes, runs = values.get("volumes"), values.get("runs")
    if not isinstance(volumes, Mapping) or not isinstance(runs, Mapping):
        return []
    known = [str(name) for name in volumes]
    problems = []
    for run_name, run in runs.items():
        purposes = run.get("volumes") if isinstance(run, Mapping) else None
        for key, names in purposes.items() if isinstance(purposes, Mapping) else ():
            for index, name in enumerate(names if isinstance(names, list) else ()):
                if isinstance(name, str) and name not in known:
                    path = ("runs", run_name, "volumes", key, index)
                    expected = "a volume of this file: " + ", ".join(known)
                    problems.append(Problem(path, f"'{name}'", expected, suggest_name(name, known)))
    return problems
