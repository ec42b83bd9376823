"""The directory of a reproduction: empty, or begun for the same purpose and not finished."""

import json

import pytest
import yaml

from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError
from attacca.provenance.reproduction import Reproduction, resolve_directories


def reproduction(tmp_path, values, of="results", seed=0, **execution):
    changed = values(**execution)
    changed["runs"]["first"]["seed"] = seed
    return Reproduction(tmp_path / "again", tmp_path / of, changed)


def test_by_default_it_is_beside_the_results(tmp_path):
    assert resolve_directories(tmp_path / "results", None) == (
        tmp_path / "results",
        tmp_path / "results-reproduced",
    )


def test_results_below_each_other_may_be_compared_but_not_computed(tmp_path):
    nested_path = tmp_path / "results" / "again"
    assert resolve_directories(tmp_path / "results", nested_path, nested=True)[1] == nested_path
    with pytest.raises(ConfigurationError, match="is inside"):
        resolve_directories(tmp_path / "results", nested_path)
    with pytest.raises(ConfigurationError, match="contains"):
        resolve_directories(nested_path, tmp_path / "results")


def test_its_configuration_computes_into_it(tmp_path, values):
    started = reproduction(tmp_path, values, seed=4)
    started.begin()
    written = load_configuration(started.configuration)
    assert written.results == tmp_path / "again"
    assert written.runs["first"].seed == 4


def test_what_was_begun_may_begin_again_until_it_is_finished(tmp_path, values):
    reproduction(tmp_path, values).begin()
    again = reproduction(tmp_path, values)
    again.begin()
    again.finish()
    with pytest.raises(ConfigurationError, match="nothing would be computed"):
        reproduction(tmp_path, values).begin()


def test_settings_that_change_no_result_may_change_before_the_end(tmp_path, values):
    reproduction(tmp_path, values).begin()
    reproduction(tmp_path, values, shards=3).begin()
    written = yaml.safe_load((tmp_path / "again" / "configuration.yaml").read_text())
    assert written["execution"] == {"shards": 3}


def test_a_directory_of_another_purpose_is_refused_and_left_as_it_is(tmp_path, values):
    reproduction(tmp_path, values).begin()
    before = (tmp_path / "again" / "configuration.yaml").read_text()
    with pytest.raises(ConfigurationError, match="another configuration"):
        reproduction(tmp_path, values, seed=1).begin()
    with pytest.raises(ConfigurationError, match=r"a reproduction of .*/results;"):
        reproduction(tmp_path, values, of="others").begin()
    assert (tmp_path / "again" / "configuration.yaml").read_text() == before


def test_a_copy_of_results_is_refused(tmp_path, values):
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "workflow.json").write_text(json.dumps({}))
    with pytest.raises(ConfigurationError, match=r"not empty .*workflow.json.*--compare-only"):
        reproduction(tmp_path, values).begin()
    assert not (tmp_path / "again" / "configuration.yaml").exists()
