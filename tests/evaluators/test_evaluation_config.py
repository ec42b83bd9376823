import pytest
from pydantic import ValidationError

from attacca.config.evaluation import EvaluationConfig
from attacca.evaluators import GroundTruthRules, InstanceConvention, InstanceEvaluator


def test_the_defaults_are_those_of_the_evaluators():
    config, evaluator = EvaluationConfig(), InstanceEvaluator()
    assert tuple(config.iou_thresholds) == evaluator.iou_thresholds
    assert InstanceConvention(config.ignore_background, config.unlabelled_prediction) == evaluator.convention
    assert GroundTruthRules(None, config.border, config.connected_components) == evaluator.rules


@pytest.mark.parametrize(
    "section",
    [
        {"iou_thresholds": []},
        {"iou_thresholds": [0]},
        {"border": -1},
        {"unlabelled_prediction": "cremi"},
        {"voi": 1},
    ],
)
def test_invalid_settings_are_refused(section):
    with pytest.raises(ValidationError):
        EvaluationConfig.model_validate(section)


def test_settings_of_additional_scores_are_stored_only_if_they_are_set():
    added = {"run_length", "border_in", "objects_of", "regions"}
    assert not added & set(EvaluationConfig().model_dump())
    values = {"border_in": "sections", "objects_of": ["nucleus"], "regions": True}
    stored = EvaluationConfig.model_validate(values).model_dump()
    assert {key: stored[key] for key in values} == values
    assert EvaluationConfig.model_validate(stored) == EvaluationConfig.model_validate(values)


def test_additional_scores_change_no_choice():
    config = EvaluationConfig.model_validate({"objects_of": ["nucleus"], "regions": True, "border": 8})
    assert config.without_details() == EvaluationConfig(border=8)


def test_the_border_of_classes_can_be_measured_in_sections():
    config = EvaluationConfig(border=25, border_in="sections", connected_components=True)
    assert GroundTruthRules.from_config(config, 7) == GroundTruthRules(7, 25, True, True)


def test_every_setting_is_documented():
    assert all(field.description for field in EvaluationConfig.model_fields.values())
