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


def test_every_setting_is_documented():
    assert all(field.description for field in EvaluationConfig.model_fields.values())
