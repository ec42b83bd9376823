"""Runs that apply a model file, or continue its training: ``model:`` in a run.

Before the configuration is validated, the sections that belong to the network are copied from the model file into the
run. Settings in the file of the configuration replace those of the model file, key by key, where that is possible.
"""

import copy
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from attacca.config.base import StrictModel
from attacca.config.model_description import ModelDescription, read_model_description
from attacca.config.problems import Problem, format_value
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings, SegmentationConfig
from attacca.config.training import TrainingConfig
from attacca.config.yaml_text import KeyPath
from attacca.errors import AttaccaError
from attacca.fingerprint import canonical_json

_CANDIDATE_KEYS = ("thresholds", "class_factors")
"""Keys of a task with candidates, of which the tuning chooses one."""
_OWN_TASK_KEYS = ("name", *_CANDIDATE_KEYS, "clip_distance", "tol_distance")
"""Keys of a task that do not belong to the network."""
_OWN_ARCHITECTURE_KEYS = ("input_shape", "eval_shape_increase")
"""Keys of a network that a further training may change."""
_FRAGMENT_KEYS = (
    *(
        "chain",
        "strides",
        "min_evidence",
        "engine",
        "min_fragment_size",
        "fill_background",
        "background_below",
    ),
    *("inside_above", "window", "max_distance", "sigma", "context"),
)
_AGGLOMERATION_KEYS = ("long_bias", "min_size", "min_extent", "min_affinity", "debris")
"""Settings that have the same name among the candidates and in the choice."""
_PLACEHOLDER: dict[str, Any] = {"type": "dummy", "embedding_dims": 1, "detection_threshold": 0}
"""Task of a run whose model file cannot be read, so that the other problems of the run are found."""


def _check_location(path: Path) -> Path:
    if not str(path).strip() or str(path) == ".":
        raise ValueError("found an empty path, expected a model file")
    return path


class ModelSource(StrictModel):
    """A model file: the path, or a mapping with the path and the digest."""

    path: Annotated[Path, AfterValidator(_check_location)]
    """The model file: ``model.zip`` of another run, in which it is written at the end of a training."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Digest of the model, as ``attacca model show`` prints it. If it is given, a file with another digest is refused."""

    @model_validator(mode="before")
    @classmethod
    def _accept_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


def insert_models(values: dict[str, Any], directory: Path) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values of a configuration file with the sections of the model files that runs name, and problems.

    Args:
        values: values of the file.
        directory: its directory, from which paths of model files are relative.
    """
    runs = values.get("runs")
    if not isinstance(runs, Mapping):
        return values, []
    expanded, problems = dict(runs), []
    for name, run in runs.items():
        if not isinstance(run, Mapping) or run.get("model") is None:
            continue
        section: KeyPath = ("runs", name)
        try:
            source = ModelSource.model_validate(run["model"])
        except ValidationError:
            # Validation of the whole configuration reports it.
            expanded[name] = {**run, "task": run.get("task", _PLACEHOLDER)}
            continue
        path = Path(os.path.normpath(directory / source.path.expanduser()))
        try:
            description, digest = read_model_description(path)
            description.require_extensions(path)
        except AttaccaError as error:
            problems.append(Problem((*section, "model"), message=error.problem, hint=error.fix))
            expanded[name] = {**run, "task": _PLACEHOLDER}
            continue
        if source.digest not in (None, digest):
            found = f"a model with the digest {digest}"
            problems.append(Problem((*section, "model", "digest"), found, f"{source.digest}"))
        run = {**run, "model": {"path": str(path), "digest": digest}}
        volumes = run.get("volumes")
        is_trained = isinstance(volumes, Mapping) and bool(volumes.get("train"))
        insert = _insert_for_training if is_trained else _insert_for_application
        expanded[name], found_problems = insert(run, description, path)
        problems += [Problem((*section, *problem.path), *_texts(problem)) for problem in found_problems]
    return {**values, "runs": expanded}, problems


def _texts(problem: Problem) -> tuple[str, str, str, str]:
    return problem.found, problem.expected, problem.hint, problem.message


def _insert_for_application(
    run: dict[str, Any], description: ModelDescription, path: Path
) -> tuple[dict[str, Any], list[Problem]]:
    """Return a run without training volumes, with the network and the settings of a model."""
    fix = "remove the key; to change the network, name training volumes and train it further"
    task, problems = _merge("task", _plain(description.read_task()), run.get("task"), _OWN_TASK_KEYS, fix)
    network = _plain(description.read_architecture())
    architecture, more = _merge("architecture", network, run.get("architecture"), (), fix)
    problems += more
    problems += _find_unused_training(run.get("training"))
    base: dict[str, Any] = {
        "task": task,
        "architecture": architecture,
        "prediction": {**description.prediction, "checkpoint": "best"},
        "evaluation": description.evaluation,
    }
    if description.segmentation is not None:
        volumes = run.get("volumes")
        chooses_again = isinstance(volumes, Mapping) and bool(volumes.get("validate"))
        base["segmentation"] = description.segmentation if chooses_again else fix_candidates(description)
    return _overlay(base, {**run, "task": task, "architecture": architecture}), problems


def _insert_for_training(
    run: dict[str, Any], description: ModelDescription, path: Path
) -> tuple[dict[str, Any], list[Problem]]:
    """Return a run with training volumes that starts from the weights of a model."""
    task = run.get("task") or _plain(description.read_task())
    if isinstance(task, Mapping) and task.get("type") == "pretrained":
        # A configuration that was written from a loaded one has the weights of its model.
        task = task.get("sub_task_config", task)
    fix = "remove the key: the weights of the model fit no other network"
    network = _plain(description.read_architecture())
    architecture, problems = _merge(
        "architecture", network, run.get("architecture"), _OWN_ARCHITECTURE_KEYS, fix
    )
    training = run.get("training")
    if training is None or isinstance(training, Mapping):
        limits = sorted(description.intensity.values())
        is_rule = "low_percentile" in description.intensity
        training = {"intensity": {"percentiles": limits} if is_rule else limits, **(training or {})}
    base = {
        "prediction": {**description.prediction, "checkpoint": "best"},
        "evaluation": description.evaluation,
        **({} if description.segmentation is None else {"segmentation": description.segmentation}),
    }
    own = {
        "task": {"type": "pretrained", "sub_task_config": task, "weights": str(path)},
        "architecture": architecture,
        "training": training,
    }
    return _overlay(base, {**run, **own}), problems


def _merge(
    key: str, base: Mapping[str, Any], given: Any, replaceable: tuple[str, ...], fix: str
) -> tuple[Any, list[Problem]]:
    """Return a section of the model with the replaceable keys of the run, and problems of its other keys."""
    if given is None:
        return base, []
    if not isinstance(given, Mapping):
        # Validation of the whole configuration reports it.
        return given, []
    own = {name: value for name, value in given.items() if name in replaceable}
    if given.get("type", base.get("type")) != base.get("type"):
        # All other keys follow from the type.
        given = {"type": given["type"]}
    problems = [
        Problem(
            (key, name),
            format_value(value),
            f"the value of the model, {format_value(base[name])}"
            if name in base
            else "a key of the model's " + key,
            fix,
        )
        for name, value in given.items()
        if name not in replaceable and not _is_equal(value, base.get(name, ...))
    ]
    return {**base, **own}, problems


def _plain(section: BaseModel) -> dict[str, Any]:
    """Return a section with its defaults, as a configuration that was written from a loaded one has it."""
    return section.model_dump(mode="json", by_alias=True)


def _is_equal(value: Any, other: Any) -> bool:
    try:
        return other is not ... and canonical_json(value) == canonical_json(other)
    except (TypeError, ValueError):
        return False


def _find_unused_training(training: Any) -> Iterator[Problem]:
    """Yield a problem for settings of a training that does not take place."""
    if training is None:
        return
    try:
        is_default = TrainingConfig.model_validate(training).deciding() == TrainingConfig().deciding()
    except ValidationError:
        # Validation of the whole configuration reports it.
        return
    if not is_default:
        found, expected = "settings of a training without training volumes", "volumes under volumes.train"
        yield Problem(("training",), found, expected, "remove 'training' to apply the model as it is")


def _overlay(base: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of the model, with the keys of the run's sections in place of theirs."""
    merged = copy.deepcopy({**base, **run})
    for name, section in base.items():
        if isinstance(section, Mapping) and isinstance(run.get(name), Mapping):
            merged[name] = _overlay(section, run[name])
    return merged


def fix_candidates(description: ModelDescription) -> dict[str, Any]:
    """Return the section ``segmentation`` of a model with its chosen settings as the only candidates.

    Raises:
        ValueError: the section cannot express the chosen settings.
    """
    assert description.segmentation is not None
    section = copy.deepcopy(description.segmentation)
    fragments = FragmentSettings.model_validate(description.chosen["fragments"])
    agglomeration = AgglomerationSettings.model_validate(description.chosen["agglomeration"])
    section |= {name: getattr(fragments, name) for name in _FRAGMENT_KEYS}
    section |= {name: getattr(agglomeration, name) for name in _AGGLOMERATION_KEYS}
    is_contact = fragments.chain == "connected_components"
    section |= {
        "bias": [fragments.bias],
        "threshold": fragments.threshold if is_contact else agglomeration.threshold,
        "agglomeration": "mean_affinity" if is_contact else agglomeration.method,
        "block_size": fragments.cell_size,
    }
    fixed = SegmentationConfig.model_validate(section)
    candidates = fixed.fragment_candidates()
    if not fixed.is_fixed or candidates != [fragments]:
        raise ValueError("segmentation: no candidate has the chosen settings of the fragments")
    if fixed.agglomeration_candidates(fragments) != [agglomeration]:
        raise ValueError("segmentation: no candidate has the chosen settings of the agglomeration")
    plain: dict[str, Any] = json.loads(canonical_json(section))
    return plain


def recall_choice(model: ModelSource | None, task: Any) -> dict[str, Any] | None:
    """Return the settings that a model chose for a task that classifies voxels; None if they have to be chosen.

    Args:
        model: model file of the run, as far as it has one.
        task: configuration of the run's task.
    """
    if model is None or task.agglomerates:
        return None
    description, _ = read_model_description(model.path)
    learned = description.read_task()
    has_own = any(getattr(task, key, None) != getattr(learned, key, None) for key in _CANDIDATE_KEYS)
    return None if has_own else description.chosen
