"""Run lengths that cannot be computed are reported before any job starts."""

import pytest
import yaml

from attacca.config.evaluation import EvaluationConfig
from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError
from attacca.preflight import check_export
from attacca.preflight.check_configuration import check_configuration
from attacca.stages.bundle import BUNDLE
from attacca.stages.evaluate import EVALUATE
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE
from tiny_configuration import tiny_configuration


def check(directory, values):
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return check_configuration(load_configuration(path), path)


def test_a_missing_package_is_reported_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(check_export, "find_missing", list)
    with pytest.raises(ConfigurationError, match="skeletons need the package kimimaro") as caught:
        check(tmp_path, tiny_configuration(evaluation={"run_length": True}))
    assert "runs.tiny.evaluation.run_length (line " in str(caught.value)
    assert "python -m pip install 'attacca[export]'" in str(caught.value)


def test_a_task_without_instances_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(check_export, "find_missing", lambda packages: [])
    values = tiny_configuration(evaluation={"run_length": True})
    del values["runs"]["tiny"]["segmentation"]
    values["runs"]["tiny"]["task"] = {
        "type": "distance",
        "channels": ["cell"],
        "clip_distance": 50,
        "tol_distance": 10,
    }
    with pytest.raises(ConfigurationError, match="run lengths for a task of type distance"):
        check(tmp_path, values)


def test_results_without_run_lengths_stay_valid():
    assert "run_length" not in EvaluationConfig().model_dump()
    assert EvaluationConfig(run_length=True).model_dump()["run_length"] is True


def write_skeletons(directory, volume, first="1 0 40 40 40 1 -1"):
    (directory / "skeletons" / volume).mkdir(parents=True)
    (directory / "skeletons" / volume / "a.swc").write_text(f"{first}\n2 0 48 40 40 1 1\n")


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (None, "found no SWC files in .*tested"),
        ("1 0 x 40 40 1 -1", "a.swc, line 1: found '1 0 x 40 40 1 -1'"),
    ],
)
def test_missing_and_damaged_files_of_skeletons_are_reported(tmp_path, monkeypatch, first, message):
    # Given skeletons need no package.
    monkeypatch.setattr(check_export, "find_missing", list)
    write_skeletons(tmp_path, "chosen")
    values = tiny_configuration(evaluation={"run_length": {"skeletons": "skeletons"}})
    if first is not None:
        write_skeletons(tmp_path, "tested", first)
    with pytest.raises(ConfigurationError, match=message) as caught:
        check(tmp_path, values)
    assert "runs.tiny.evaluation.run_length.skeletons (line " in str(caught.value)
    assert "kimimaro" not in str(caught.value)


def test_skeletons_outside_the_volume_are_reported_with_both_regions(tmp_path):
    for volume in ("chosen", "tested"):
        write_skeletons(tmp_path, volume)
    values = tiny_configuration(evaluation={"run_length": {"skeletons": "skeletons"}})
    assert check(tmp_path, values).warnings == []
    values["runs"]["tiny"]["evaluation"]["run_length"]["unit"] = "micrometer"
    with pytest.raises(ConfigurationError, match=r"40000\.\.48000, 40000\.\.40000") as caught:
        check(tmp_path, values)
    assert "0..256, 0..256, 0..256 nm" in str(caught.value)


def test_skeletons_in_files_change_the_scores_alone(tmp_path):
    values = tiny_configuration()
    write_skeletons(tmp_path, "chosen")
    write_skeletons(tmp_path, "tested")

    def list_parameters(run_length):
        values["runs"]["tiny"]["evaluation"] = {"run_length": run_length}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
        configuration = load_configuration(tmp_path / "config.yaml")
        stages = (EVALUATE, TUNE, BUNDLE, TRAIN)
        return [stage.parameters(configuration, "tiny", "tested") for stage in stages]

    without, given = list_parameters(False), list_parameters({"skeletons": "skeletons"})
    assert without[0] != given[0] and without[1:] == given[1:]
    assert str(tmp_path) not in str(given)
    (tmp_path / "skeletons" / "tested" / "a.swc").write_text("1 0 40 40 40 1 -1")
    assert list_parameters({"skeletons": "skeletons"})[0] != given[0]
