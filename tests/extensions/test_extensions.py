"""Extensions: loading, sections of the configuration, errors, and the stages that depend on them."""

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from funlib.geometry import Coordinate

from attacca.architectures import create_architecture
from attacca.architectures.operations import count_flops, count_weights
from attacca.cli.main import main
from attacca.config.load import load_configuration
from attacca.config.run import Configuration
from attacca.config.tasks import read_task_config
from attacca.config.volumes import ArraySource
from attacca.errors import AttaccaError, ConfigurationError
from attacca.extensions import forget_extensions, loading
from attacca.prediction.sizes import ConfiguredSizes
from attacca.preflight.check_configuration import check_configuration
from attacca.tasks import create_task
from attacca.volumes.readers.open_source import open_source
from attacca.workflow.staleness import list_changed_settings
from attacca.workflow.workflow import Workflow
from extension_files import EVALUATOR, FILES, LOSS, write_project


@pytest.fixture(autouse=True)
def no_extensions():
    forget_extensions()
    yield
    forget_extensions()


def load(directory: Path, values: dict[str, Any] | None = None) -> Configuration:
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(values or write_project(directory), sort_keys=False))
    return load_configuration(path)


def message(directory: Path, values: dict[str, Any]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(directory, values)
    return str(caught.value)


def test_a_task_uses_the_extensions_in_place_of_its_parts(tmp_path):
    task = create_task(load(tmp_path).runs["tiny"].task)
    parts = (task.predictor, task.loss, task.post_processor, task.evaluator)
    assert [type(part).__name__ for part in parts] == ["Interior", "Absolute", "Above", "Agreement"]
    assert task.default_criterion == "agreement"
    assert [parameters.threshold for parameters in task.post_processor.tuning_parameters()] == [0.3, 0.5]


def test_a_pretrained_task_uses_the_extensions_of_its_sub_task(tmp_path):
    section = load(tmp_path).runs["tiny"].task.model_dump()
    task = create_task(
        read_task_config({"type": "pretrained", "sub_task_config": section, "weights": "w.pt"})
    )
    assert type(task.loss).__name__ == "Absolute"
    assert task.evaluator.criteria == ["agreement"]


def test_sizes_and_costs_of_a_network_are_measured(tmp_path):
    config = load(tmp_path).runs["tiny"].architecture
    network = create_architecture(config, dims=3)
    weights = sum(parameter.numel() for parameter in network.parameters())
    assert count_weights(config) == weights == 27 * 4 + 4 + 27 * 16 + 4
    # A valid convolution of 3 voxels computes 22, the next 20 voxels of 24 along each axis.
    assert count_flops(config, (24, 24, 24)) == 2 * (22**3 * 27 * 4 + 20**3 * 27 * 16)
    sizes = ConfiguredSizes(config)
    assert (sizes.context, sizes.factor) == (Coordinate(2, 2, 2), Coordinate(1, 1, 1))


def test_a_reader_opens_a_file_of_its_format(tmp_path):
    configuration = load(tmp_path)
    raw = configuration.volumes["tested"].raw
    assert raw is not None
    source = open_source(raw)
    expected = np.load(tmp_path / "tested.npy")
    assert np.array_equal(source.read((3, 4, 5), (9, 8, 7)), expected[3:9, 4:8, 5:7])
    assert check_configuration(configuration, tmp_path / "config.yaml").plans["tested"].voxel_size == (
        8,
        8,
        8,
    )


@pytest.fixture
def start_process(monkeypatch):
    """``start_process(environment)``: forget all that is loaded, as a process that starts with this variable."""

    def start(environment: str | None = None) -> None:
        for name in [name for name in sys.modules if name.startswith("attacca_extension_")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(loading, "_loaded", {})
        forget_extensions()
        if environment is not None:
            monkeypatch.setenv(loading.VARIABLE, environment)

    return start


def test_processes_without_the_environment_of_the_workflow_unpickle_extensions(tmp_path, start_process):
    configuration = load(tmp_path)
    source = open_source(configuration.volumes["tested"].raw)
    task = configuration.runs["tiny"].task
    pickled = pickle.dumps((source, task))
    start_process()
    source, again = pickle.loads(pickled)
    assert source.read((0, 0, 0), (1, 1, 2)).shape == (1, 1, 2)
    assert type(create_task(again).predictor).__name__ == "Interior"
    assert type(again.predictor) is not type(task.predictor)
    (tmp_path / "interior.py").write_text(FILES["interior.py"] + "\n# edited\n")
    start_process()
    with pytest.raises(ConfigurationError, match=r"interior\.py was changed after the start of the workflow"):
        pickle.loads(pickled)


def test_a_process_of_the_workflow_loads_the_same_files(tmp_path, start_process):
    task = load(tmp_path).runs["tiny"].task
    section, environment = task.model_dump(mode="json"), os.environ[loading.VARIABLE]
    start_process(environment)
    loss = read_task_config(section).loss
    assert type(loss).__name__ == "AbsoluteOptions" and type(loss) is not type(task.loss)
    (tmp_path / "absolute.py").write_text(LOSS + "\n# edited\n")
    start_process(environment)
    with pytest.raises(ValueError, match="was changed after the start of the workflow"):
        read_task_config(section)


DEPENDENT = {
    "interior.py": {"targets", "train", "tune", "classes", "bundle"},
    "absolute.py": {"train", "bundle"},
    "pair.py": {"train"},
    "above.py": {"tune", "classes", "bundle"},
    "agreement.py": {"tune", "evaluate", "bundle"},
    "numpy_file.py": {"volume"},
}
"""Stages that the change of a file reruns; stages that read their results follow if these change."""


@pytest.mark.parametrize("is_removed", [False, True])
def test_an_extension_that_is_added_or_removed_is_a_reason_to_compute_again(tmp_path, is_removed):
    workflows = []
    for has_loss in (is_removed, not is_removed):
        values = write_project(tmp_path)
        if not has_loss:
            del values["runs"]["tiny"]["task"]["loss"]
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        workflows.append(Workflow(load_configuration(path), shard_counts={}))
    (training,) = [instance for instance in workflows[0].instances() if instance.stage.name == "train"]
    recorded = {"parameters": json.loads(workflows[0].section(training.stage, training.run))}
    assert list_changed_settings(training, workflows[0], recorded) == []
    (reason,) = list_changed_settings(training, workflows[1], recorded)
    assert reason.startswith("task.loss was") and ("is not set now" in reason) == is_removed


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_reruns_the_stages_that_depend_on_it(tmp_path, name):
    def sections() -> dict[str, Any]:
        workflow = Workflow(load(tmp_path), shard_counts={})
        return {
            f"{instance.stage.name} {instance.label}": instance.stage.section(
                workflow.configuration, instance.run, instance.volume
            )
            for instance in workflow.instances()
        }

    values = write_project(tmp_path)
    before = sections()
    (tmp_path / name).write_text((tmp_path / name).read_text() + "\n# edited\n")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    workflow = Workflow(load_configuration(path), shard_counts={})
    changed = {
        instance.stage.name
        for instance in workflow.instances()
        if before[f"{instance.stage.name} {instance.label}"]
        != instance.stage.section(workflow.configuration, instance.run, instance.volume)
    }
    assert changed == DEPENDENT[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def compute(:\n", "absolute.py, line 1: invalid syntax"),
        ("import os\n\nthreshold = 1 / 0\n", "absolute.py, line 3: ZeroDivisionError: division by zero"),
        (
            "import a_file_beside_it\n",
            "absolute.py, line 1: ModuleNotFoundError: No module named 'a_file_beside_it'",
        ),
        ("x = 1\n", "absolute.py registers no extension"),
        (
            LOSS.replace('type: Literal["absolute"] = "absolute"', "delta: float = 1"),
            "AbsoluteOptions has no name",
        ),
        (
            LOSS.replace('@register("loss"', '@register("lost"'),
            "found the kind 'lost', expected one of predictor, loss",
        ),
        (
            LOSS.replace("import Loss", "import Loss").replace(
                'type: Literal["absolute"]',
                'file: __import__("pathlib").Path = "x"\n    type: Literal["absolute"]',
            ),
            "AbsoluteOptions.file is a path",
        ),
    ],
)
def test_a_file_that_cannot_be_loaded_is_reported_with_its_line(tmp_path, text, expected):
    values = write_project(tmp_path)
    (tmp_path / "absolute.py").write_text(text)
    problems = message(tmp_path, values)
    assert expected in problems
    assert problems.startswith(f"{tmp_path / 'config.yaml'} has 1 problem;")
    assert "extensions[1] (line 3)" in problems


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("absolut", "'absolut'"),
        ({"type": "absolute", "delta": 3}, "the unknown key 'delta'"),
        ({"delta": 3}, "a mapping with the key 'type'"),
        (7, "expected: the name of an extension"),
    ],
)
def test_a_section_that_selects_no_extension_is_reported(tmp_path, section, expected):
    values = write_project(tmp_path)
    values["runs"]["tiny"]["task"]["loss"] = section
    problems = message(tmp_path, values)
    assert expected in problems
    assert "runs.tiny.task.loss" in problems
    assert "has 1 problem;" in problems


def test_values_of_an_extension_are_checked_by_its_model(tmp_path):
    values = write_project(tmp_path)
    values["runs"]["tiny"]["task"]["post_processor"] = {"type": "above", "thresholds": ["low"]}
    values["runs"]["tiny"]["architecture"]["channels"] = True
    problems = message(tmp_path, values)
    assert "runs.tiny.task.post_processor.thresholds[0]" in problems
    assert "runs.tiny.architecture.channels" in problems
    assert "has 2 problems;" in problems


def test_a_missing_file_and_two_of_one_name_are_reported(tmp_path):
    values = write_project(tmp_path)
    (tmp_path / "other.py").write_text(LOSS + "\n# another file\n")
    values["extensions"] += ["other.py", "absent.py"]
    problems = message(tmp_path, values)
    assert "the loss 'absolute' is in absolute.py and in other.py" in problems
    assert "absent.py: no such file" in problems


def test_a_predictor_of_another_number_of_channels_is_refused(tmp_path):
    values = write_project(tmp_path)
    values["runs"]["tiny"]["task"]["channels"] = ["inside", "outside"]
    with pytest.raises(
        ConfigurationError, match=r"'interior' in interior.py has 1 channels \(inside\).*has 2"
    ):
        create_task(load(tmp_path, values).runs["tiny"].task)


def test_affinities_keep_their_agglomeration(tmp_path):
    values = write_project(tmp_path)
    values["runs"]["tiny"]["task"] = {
        "type": "affinities",
        "neighborhood": [[1, 0, 0]],
        "post_processor": "above",
    }
    assert "expected: a task that segments voxel by voxel" in message(tmp_path, values)


def test_an_error_in_the_code_of_an_extension_names_its_line(tmp_path):
    values = write_project(tmp_path)
    (tmp_path / "numpy_file.py").write_text(
        FILES["numpy_file.py"].replace('["z", "y", "x"]', '["z", "y", "y"]')
    )
    raw = load(tmp_path, values).volumes["tested"].raw
    with pytest.raises(
        AttaccaError, match=r"the reader 'numpy' in numpy_file.py returned axes \['z', 'y', 'y'\]"
    ):
        open_source(raw)
    (tmp_path / "numpy_file.py").write_text(FILES["numpy_file.py"].replace("np.load(path,", "np.laod(path,"))
    raw = load(tmp_path, values).volumes["tested"].raw
    with pytest.raises(AttaccaError, match=r"numpy_file.py, line 13: AttributeError: .*laod"):
        open_source(raw)


def test_an_installed_package_adds_an_extension_by_an_entry_point(tmp_path, monkeypatch):
    package = tmp_path / "site" / "agreeing"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "scores.py").write_text(EVALUATOR)
    metadata = tmp_path / "site" / "agreeing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: agreeing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[attacca.extensions]\nagreement = agreeing.scores:Agreement\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    values = write_project(tmp_path)
    values["extensions"].remove("agreement.py")
    options = load(tmp_path, values).runs["tiny"].task.evaluator
    assert options is not None
    assert options.extension.source.name == "agreeing"
    # The package stays known after another configuration was loaded.
    assert load(tmp_path, values).runs["tiny"].task.evaluator == options


def test_sections_without_extensions_are_stored_as_before():
    section = read_task_config({"type": "distance", "channels": ["a"], "clip_distance": 5, "tol_distance": 1})
    assert not {"predictor", "loss", "post_processor", "evaluator"} & set(section.model_dump())
    assert "reader" not in ArraySource(path="raw.tif").model_dump()


@pytest.mark.parametrize(
    "kind", ["predictor", "loss", "architecture", "post_processor", "evaluator", "reader"]
)
def test_a_template_can_be_loaded(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    assert main(["new", kind, "mine"]) == 0
    assert main(["new", kind, "mine"]) == 2
    assert "mine.py exists" in capsys.readouterr().err
    values = write_project(tmp_path)
    values["extensions"].append("mine.py")
    if kind == "reader":
        values["volumes"]["tested"]["raw"]["reader"] = {"type": "mine", "voxel_size": [4, 4, 4]}
        del values["volumes"]["tested"]["voxel_size"]
        source = open_source(load(tmp_path, values).volumes["tested"].raw)
        assert (source.metadata.voxel_size, source.read((0, 0, 0), (1, 2, 3)).shape) == ((4, 4, 4), (1, 2, 3))
        return
    run = values["runs"]["tiny"]
    if kind == "architecture":
        run["architecture"] = {"type": "mine", "input_shape": [24, 24, 24], "layers": 3}
        assert ConfiguredSizes(load(tmp_path, values).runs["tiny"].architecture).context == (3, 3, 3)
        return
    run["task"][kind] = {"type": "mine"}
    task = create_task(load(tmp_path, values).runs["tiny"].task)
    assert getattr(task, kind).__class__.__module__.startswith("attacca_extension_mine")


def test_a_name_that_is_not_an_identifier_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["new", "loss", "my-loss"]) == 2
    assert "found the name 'my-loss', expected letters" in capsys.readouterr().err
