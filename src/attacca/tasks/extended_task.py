"""Parts of a task that extensions replace."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attacca.config.evaluation import EvaluationConfig
from attacca.config.extension import Options
from attacca.errors import ConfigurationError
from attacca.predictors import Predictor

if TYPE_CHECKING:
    from attacca.evaluators import Evaluator
    from attacca.tasks.task import Task


def replace_parts(task: Task) -> None:
    """Replace the parts of a task by the extensions that its configuration selects.

    The other parts of the task use the parts in place of their own.
    """
    config = task.config
    # A cached property is replaced by its value.
    if config.predictor is not None:
        task.__dict__["predictor"] = _create_predictor(config.predictor, config.num_channels)
    for name in ("loss", "post_processor"):
        options = getattr(config, name)
        if isinstance(options, Options):
            task.__dict__[name] = options.create()
    if config.evaluator is not None:
        task.create_evaluator = partial(_create_evaluator, config.evaluator)  # type: ignore[method-assign]


def _create_predictor(options: Options, num_channels: int) -> Predictor:
    predictor = options.create()
    extension = options.extension
    if not isinstance(predictor, Predictor):
        raise ConfigurationError(
            f"{extension.source.name}: the predictor '{extension.name}' is not a subclass of Predictor",
            fix="derive its class from attacca.LabelPredictor or attacca.Predictor",
        )
    if predictor.num_channels != num_channels:
        raise ConfigurationError(
            f"the predictor '{extension.name}' in {extension.source.name} has {predictor.num_channels} channels "
            f"({', '.join(predictor.channel_names)}), but the task has {num_channels}",
            fix="change the channels of the predictor or of the task",
        )
    return predictor


def _create_evaluator(
    options: Options, evaluation: EvaluationConfig | None = None, unlabelled: int | None = None
) -> Evaluator:
    # deferred: loads numba
    from attacca.evaluators import GroundTruthRules

    config = evaluation or EvaluationConfig()
    evaluator: Evaluator = options.create(
        GroundTruthRules(unlabelled, config.border, border_in_sections=config.border_in == "sections")
    )
    return evaluator
