"""YAML as people write it."""

import pytest

from attacca.config.yaml_text import find_unset_variables, read_yaml
from attacca.errors import ConfigurationError, MissingInputError


def written(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def test_an_exponent_without_a_dot_is_a_number(tmp_path):
    values, _ = read_yaml(written(tmp_path, "a: 1e-3\nb: 5\nc: -2.5\nd: 1_000\ne: .5\nf: 1.0e+3\n"))
    assert values == {"a": 0.001, "b": 5, "c": -2.5, "d": 1000, "e": 0.5, "f": 1000.0}
    assert isinstance(values["b"], int)


def test_a_duplicate_key_is_refused_with_both_lines(tmp_path):
    with pytest.raises(ConfigurationError, match=r"'seed' is on line 1 and again on line 3"):
        read_yaml(written(tmp_path, "seed: 1\nruns: {}\nseed: 2\n"))


def test_anchors_and_merge_keys_work(tmp_path):
    text = "x-base: &base\n  a: 1\n  b: 2\nrun:\n  <<: *base\n  b: 3\n"
    values, lines = read_yaml(written(tmp_path, text))
    assert values["run"] == {"a": 1, "b": 3}
    assert lines[("run", "b")] == 6


def test_a_broken_file_is_reported_with_its_line(tmp_path):
    with pytest.raises(ConfigurationError, match=r"line \d, column \d+: this is not YAML"):
        read_yaml(written(tmp_path, "a: 1\nb: [1, 2\nc: 3\n"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"nowhere\.yaml"):
        read_yaml(tmp_path / "nowhere.yaml")


def test_a_list_at_the_top_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="expected a mapping with the keys 'volumes' and 'runs'"):
        read_yaml(written(tmp_path, "- a\n- b\n"))


def test_environment_variables_are_put_in_and_may_have_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("EM_DATA", "/data/em")
    monkeypatch.delenv("EM_OTHER", raising=False)
    text = "path: ${EM_DATA}/raw\nother: ['${EM_OTHER:-../data}/labels.h5']\n"
    assert read_yaml(written(tmp_path, text))[0] == {"path": "/data/em/raw", "other": ["../data/labels.h5"]}


def test_defaults_of_variables_are_located_at_their_use(tmp_path, monkeypatch):
    monkeypatch.setenv("EM_DATA", "/data/em")
    monkeypatch.delenv("EM_OTHER", raising=False)
    text = "x: &x {raw: '${EM_DATA:-a}/raw', labels: ['${EM_OTHER:-../b}/labels']}\nvolume: {<<: *x, n: 1}\n"
    used = {"EM_OTHER": "../b"}
    assert find_unset_variables(written(tmp_path, text)) == {
        ("x", "labels", 0): used,
        ("volume", "labels", 0): used,
    }


def test_an_environment_variable_that_is_not_set_is_named_with_its_line(tmp_path, monkeypatch):
    monkeypatch.delenv("EM_OTHER", raising=False)
    with pytest.raises(ConfigurationError, match="line 2: the environment variable EM_OTHER is not set"):
        read_yaml(written(tmp_path, "a: 1\npath: ${EM_OTHER}/raw\n"))


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "a: &x {b: {c: *x}}\n"])
def test_an_anchor_that_holds_itself_is_refused(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"an anchor .* contains its own alias"):
        read_yaml(written(tmp_path, text))
