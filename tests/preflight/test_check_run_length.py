"""Run lengths that cannot be computed are reported before any job starts."""

import pytest
import yaml

from attacca.config.evaluation import EvaluationConfig
from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError
from attacca.preflight import check_run_length
from attacca.preflight.check_configuration import check_configuration
from tiny_configuration import tiny_configuration


def check(directory, values):
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return check_configuration(load_configuration(path), path)


def test_a_missing_package_is_reported_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(check_run_length, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="skeletons need the package kimimaro") as caught:
        check(tmp_path, tiny_configuration(evaluation={"run_length": True}))
    assert "runs.tiny.evaluation.run_length (line " in str(caught.value)
    assert "python -m pip install 'attacca[export]'" in str(caught.value)


def test_a_task_without_instances_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(check_run_length, "find_spec", lambda name: name)
    values = tiny_configuration(evaluation={"run_length": True})
    del values["runs"]["tiny"]["segmentation"]
    values["runs"]["tiny"]["task"] = {
        "type": "distance",
        "channels": ["cell"],
        "clip_distance": 50,
        "tol_distance": 10,
    }
    with pytest.raises(ConfigurationError, match="true for a task of type distance"):
        check(tmp_path, values)


def test_results_without_run_lengths_stay_valid():
    assert "run_length" not in EvaluationConfig().model_dump()
    assert EvaluationConfig(run_length=True).model_dump()["run_length"] is True
