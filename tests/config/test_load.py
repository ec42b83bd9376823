"""Problems in a configuration are reported all at once, so that each can be fixed."""

import json
import textwrap

import pytest

from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError
from attacca.fingerprint import canonical_json

GOOD = """
results: out
x-network: &network
  type: unet
  input_shape: [32, 32, 32]
volumes:
  cube-1: {synthetic: {shape: [48, 48, 48], seed: 1}, voxel_size: [16, 16, 16]}
  cube-2: {synthetic: {shape: [48, 48, 48], seed: 2}, voxel_size: [16, 16, 16]}
runs:
  first:
    task: {type: affinities, neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    architecture: *network
    volumes: {train: [cube-1], test: [cube-2]}
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def problems(path):
    with pytest.raises(ConfigurationError) as raised:
        load_configuration(path)
    assert raised.value.exit_code == 2
    return str(raised.value)


def test_a_good_file_is_read_and_its_paths_become_absolute(written, tmp_path):
    configuration = load_configuration(written(GOOD))
    assert configuration.results == tmp_path / "out"
    assert configuration.runs["first"].architecture.input_shape == (32, 32, 32)


def test_an_override_replaces_the_value_of_the_file(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_configuration(written(GOOD), {"results": "elsewhere"}).results == tmp_path / "elsewhere"


def test_the_order_of_keys_does_not_change_a_section(written, tmp_path):
    one = load_configuration(written(GOOD)).runs["first"]
    other = GOOD.replace(
        "type: affinities, neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]",
        "neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], type: affinities",
    )
    two = load_configuration(written(other)).runs["first"]
    one_text, two_text = (canonical_json(run.model_dump(mode="json", by_alias=True)) for run in (one, two))
    assert one_text == two_text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("results: out", "result: out", ["result (line 2)", "fix:      did you mean 'results'?"], id="unknown key"),
        pytest.param("shape: [48, 48, 48], seed: 1", "shape: [48, 48, 48], sed: 1", ["volumes.cube-1.synthetic.sed", "fix:      did you mean 'seed'?"], id="unknown key deep inside"),
        pytest.param("seed: 2", "seed: two", ["volumes.cube-2.synthetic.seed (line 8)", "'two'", "a whole number"], id="wrong type"),
        pytest.param("type: affinities", "type: affinites", ["runs.first.task.type (line 11)", "'affinites'", "fix:      did you mean 'affinities'?"], id="unknown task"),
        pytest.param("type: affinities, ", "", ["runs.first.task.type", "found:    nothing"], id="no task type"),
        pytest.param("[0, 0, 1]]", "[0, 1]]", ["runs.first.task", "offset [0, 1] has 2 axes"], id="neighborhood of mixed dimensions"),
        pytest.param("train: [cube-1]", "train: [cube-3]", ["runs.first.volumes.train[0]", "fix:      did you mean 'cube-"], id="unknown volume"),
        pytest.param("train: [cube-1]", "train: []", ["runs.first.volumes.train", "expected: at least 1 item"], id="no training volume"),
        pytest.param("[0, 0, 1]]", "[0, 0, 1], [1, 0, 0]]", ["runs.first.task.neighborhood", "[1, 0, 0] occurs twice"], id="the same offset twice"),
        pytest.param("    volumes: {", "    training: {intensity: [5, 5]}\n    volumes: {", ["first.training.intensity (line 13)", "two different numbers"], id="black and white are one"),
        pytest.param("    volumes: {", "    training: {intensity: [5]}\n    volumes: {", ["first.training.intensity[1]", "expected: a value"], id="black without white"),
        pytest.param("    volumes: {", "    training: {intensity: {percentiles: [99, 1]}}\n    volumes: {", ["first.training.intensity.percentiles (line 13)", "two ascending ones of 0, 0.1"], id="descending percentiles"),
        pytest.param("    volumes: {", "    training: {intensity: {percentiles: [3, 99]}}\n    volumes: {", ["first.training.intensity.percentiles (line 13)", "two ascending ones of 0, 0.1"], id="a percentile that no import records"),
        pytest.param("    volumes: {", "    training: {intensity: {percentile: [1, 99]}}\n    volumes: {", ["first.training.intensity.percentile", "did you mean 'percentiles'"], id="percentiles with a wrong key"),
        pytest.param("    volumes: {", "    training: {optimizer: {betas: [2, 3]}}\n    volumes: {", ["first.training.optimizer.betas", "found:    betas [2.0, 3.0]", "from 0 up to"], id="betas above 1"),
        pytest.param("    volumes: {", "    training: {batch_size: 0}\n    volumes: {", ["first.training.batch_size", "expected: 1 or more"], id="a number too small"),
        pytest.param("    volumes: {", "    training: {device: gpu}\n    volumes: {", ["first.training.device", "expected: auto, cpu"], id="unknown device"),
        pytest.param("seed: 2", "seed: 1.5", ["cube-2.synthetic.seed", "expected: a whole number"], id="a fraction for a whole number"),
        pytest.param("test: [cube-2]", "test: [cube-1]", ["under train and under test"], id="a volume with two purposes"),
        pytest.param("  first:", "  targets:", ["runs.targets", "taken by Attacca's own results"], id="a reserved name"),
        pytest.param("  first:", "  machines:", ["runs.machines", "taken by Attacca's own results"], id="the name of the notes on machines"),
        pytest.param("  first:", "  a/b:", ["letters, digits, '_' and '-'"], id="a name that is not a directory"),
        pytest.param("voxel_size: [16, 16, 16]}\nruns", "voxel_size: [4.6, 4.6, 50]}\nruns", ["angstrom", "46"], id="a voxel size that is not whole"),
        pytest.param("shape: [48, 48, 48], seed: 2", "shape: [48, 48], seed: 2", ["volumes.cube-2", "different numbers of axes"], id="different numbers of axes"),
        pytest.param("synthetic: {shape: [48, 48, 48], seed: 2}, ", "", ["volumes.cube-2", "neither 'raw' nor 'synthetic'"], id="a volume without an image"),
    ],
)  # fmt: skip
def test_a_problem_is_reported_with_its_path_and_the_expected_value(written, old, new, expected):
    assert old in GOOD
    text = problems(written(GOOD.replace(old, new, 1)))
    for part in expected:
        assert part in text


def test_expected_values_are_described_in_the_words_of_this_package(written):
    bad = (
        GOOD.replace("train: [cube-1]", "train: []")
        .replace("seed: 2", "seed: -1")
        .replace("[48, 48, 48]", "[0, 48, 48]")
    )
    text = problems(written(bad))
    assert "expected:" in text
    for word in ("should", "Input", "valid", "greater than", "expected: found"):
        assert word not in text


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(written):
    bad = GOOD.replace("seed: 2", "seed: two").replace("results: out", "result: out")
    text = problems(written(bad.replace("train: [cube-1]", "train: [cube-3]")))
    assert "3 problems; nothing was started" in text
    places = [text.index(place) for place in ("result (line 2)", "cube-2.synthetic.seed", "volumes.train[0]")]
    assert places == sorted(places)


def test_a_value_of_several_possible_kinds_is_one_problem(written):
    text = problems(written(GOOD + "    segmentation: {bias: [0.1, 2.0], threshold: high}\n"))
    assert "2 problems" in text
    assert "segmentation.bias[1]" in text
    assert "constrained" not in text


def test_an_error_inside_an_anchor_is_reported_once_with_every_place_that_uses_it(written):
    shared = GOOD.replace("x-network:", "x-cube: &cube\n  voxel_size: [16, sixteen, 16]\nx-network:")
    shared = shared.replace("voxel_size: [16, 16, 16]}", "<<: *cube}")
    text = problems(written(shared))
    assert "1 problem;" in text
    assert "volumes.cube-1.voxel_size[1], volumes.cube-2.voxel_size[1] (line 4)" in text


def test_a_number_beyond_its_limit_is_not_answered_with_the_list_that_is_also_possible(written):
    text = GOOD + "    segmentation: {threshold: 1.5, min_size: [1, -2]}\n"
    message = problems(written(text))
    assert "expected: 1.0 or less\n" in message
    assert "expected: 0 or more" in message
    assert "a list" not in message and "or a number" not in message


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("seed: 1", "seed: true", "volumes.cube-1.synthetic.seed", "a number"),
        ("seed: 1", "seed: yes", "volumes.cube-1.synthetic.seed", "a whole number"),
        ("seed: 1", "seed: 2:00", "volumes.cube-1.synthetic.seed", "a whole number"),
        ("[16, 16, 16]", "[16, true, 16]", "voxel_size[1]", "a number"),
        ("[16, 16, 16]", "[16, .inf, 16]", "voxel_size[1]", "a finite number"),
        ("[16, 16, 16]", "[16, .nan, 16]", "voxel_size[1]", "a finite number"),
        ("[16, 16, 16]", "[16, 1e300, 16]", "voxel_size[1]", "1000000000000.0 or less"),
        ("results: out", "results: 2024", "results", "write it in quotes: '2024'"),
        ("results: out", "results:", "results", "a path"),
        ("results: out", "results: ''", "results", "a local directory"),
        ("results: out", "results: s3://bucket/results", "results", "storage"),
        ("results: out", "storage: s3://", "storage", "with a bucket"),
        ("results: out", "storage: s3:///project", "storage", "with a bucket"),
        ("results: out", "storage: s3:/", "storage", "with a bucket"),
        ("results: out", "storage: ''", "storage", "a directory"),
        ("results: out", "storage: https://example.org/arrays", "storage", "cannot be written"),
        ("results: out", "storage: ftp://example.org/arrays", "storage", "cannot be written"),
        ("{synthetic: {shape: [48, 48, 48], seed: 1}", "{raw: {path: 's3://'}", "volumes.cube-1.raw.path", "names no bucket"),
        ("{synthetic: {shape: [48, 48, 48], seed: 1}", "{raw: {path: a.h5, dataset: 7}", "volumes.cube-1.raw.dataset", "in quotes: '7'"),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused_at_its_key(written, old, new, key, expected):
    message = problems(written(GOOD.replace(old, new, 1)))
    assert key in message and expected in message, message
    assert "has 1 problem;" in message


@pytest.mark.parametrize(
    "name", ["a/b", "..", "-a", "a b", "a{b}", "a[b]", "größe", "~", "", "a" * 300, "a\nb", "volumes"]
)
def test_a_name_that_cannot_be_a_directory_is_refused(written, name):
    assert (
        f"the name '{name}'" in (text := problems(written(GOOD.replace("cube-2:", f"{json.dumps(name)}:"))))
        or "of 300 characters" in text
    )


@pytest.mark.parametrize(
    ("value", "name"), [(2024, "2024"), ("2024-02-30", "2024-02-30"), ("./2024.10", "2024.10")]
)
def test_results_of_the_command_line_may_be_a_number(written, tmp_path, monkeypatch, value, name):
    monkeypatch.chdir(tmp_path)
    assert load_configuration(written(GOOD), {"results": value}).results == tmp_path / name


@pytest.mark.parametrize("value", [None, "", 2024.1, True, ["a"], "s3://bucket", "a\0b"])
def test_results_of_the_command_line_that_may_have_lost_characters_are_refused(written, value):
    with pytest.raises(ConfigurationError, match=r"--config results=.*expected a directory"):
        load_configuration(written(GOOD), {"results": value})
