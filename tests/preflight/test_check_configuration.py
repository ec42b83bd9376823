"""Checks of a configuration against its volumes."""

import copy
import os

import h5py
import numpy as np
import pytest
import yaml

from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError
from attacca.preflight.check_configuration import check_configuration
from attacca.workflow.workflow import open_workflow

NEIGHBORHOOD = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
DISTANCE = {"type": "distance", "channels": ["m"], "clip_distance": 50, "tol_distance": 10}
INTENSITIES = np.random.default_rng(0).integers(0, 236, (32, 32, 32), dtype=np.uint8)


@pytest.fixture
def inspected(tmp_path):
    """Inspects a configuration of one run on a volume of 32^3 voxels, with changes."""
    classes = (INTENSITIES // 60).astype(np.uint8)
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file["raw"] = INTENSITIES
        file["floats"] = INTENSITIES.astype(np.float32)
        file["units"] = INTENSITIES.astype(np.float32) / 235
        file["twelve"] = INTENSITIES.astype(np.uint16) * 17
        file["sixteen"] = INTENSITIES.astype(np.uint16) * 270
        file["broken"] = np.full(INTENSITIES.shape, np.nan, np.float32)
        file["classes"] = classes
        sections = np.zeros(INTENSITIES.shape, np.uint8)
        sections[::4] = classes[::4] + 1
        file["sections"] = sections
        file["nothing"] = np.zeros(INTENSITIES.shape, np.uint8)
        corner = np.ones(INTENSITIES.shape, np.int64)
        corner[0, 0, 0] = -1
        file["corner"] = corner
        file["mask"] = (classes < 2).astype(np.uint8)
        file["negative"] = classes.astype(np.int16) - 1

    def inspect(*, raw="raw", labels="classes", more=None, other=None, volumes=None, **run):
        labels = labels if isinstance(labels, dict) else {"path": "cube.h5", "dataset": labels}
        volume = {"raw": {"path": "cube.h5", "dataset": raw}, "labels": labels, "voxel_size": [10, 10, 10]}
        network = {"input_shape": [24, 24, 24], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]}
        configuration = {
            "volumes": {"cube": {**volume, **(more or {})}, "other": other or copy.deepcopy(volume)},
            "runs": {
                "run": {
                    "task": {"type": "affinities", "neighborhood": NEIGHBORHOOD},
                    "architecture": network,
                    "volumes": volumes or {"train": ["cube"]},
                    **run,
                }
            },
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(configuration))
        return check_configuration(load_configuration(path), path)

    return inspect


@pytest.mark.parametrize(
    ("task", "evaluation", "message"),
    [
        (DISTANCE, {"objects_of": ["m", "n"]}, "'n'\n  expected: one of m"),
        ({"type": "affinities", "neighborhood": NEIGHBORHOOD}, {"objects_of": ["m"]}, "a task with classes"),
        (DISTANCE, {"regions": True}, "expected: a task of type affinities"),
    ],
)
def test_scores_that_a_task_does_not_have_are_refused(inspected, task, evaluation, message):
    with pytest.raises(ConfigurationError) as caught:
        inspected(task=task, evaluation=evaluation)
    assert message in str(caught.value)
    assert "evaluation." in str(caught.value)


def refused(inspected, **changes):
    with pytest.raises(ConfigurationError) as caught:
        inspected(**changes)
    return str(caught.value)


def classes(*names, combine="ids"):
    sources = [
        {"name": name, "path": "cube.h5", "dataset": "classes", "values": [number]}
        for number, name in enumerate(names, start=1)
    ]
    return {"classes": sources, "combine": combine}


def test_a_configuration_without_problems_is_planned(inspected):
    inspection = inspected()
    assert list(inspection.plans) == ["cube"] and inspection.warnings == []


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        pytest.param({**DISTANCE, "channels": ["m", "n"]}, "classes", ["task.channels", "2 channels (m, n)", "have one channel", "class_ids"], id="two distances of one volume of ids"),
        pytest.param({**DISTANCE, "channels": ["m", "n"]}, classes("m", "n"), ["1 m, 2 n"], id="two distances of named ids"),
        pytest.param(DISTANCE, classes("m", "n", combine="channels"), ["1 channels (m)", "2 channels"], id="one distance of two channels"),
        pytest.param({**DISTANCE, "class_ids": [1]}, classes("m", "n", combine="channels"), ["class_ids", "combine: ids"], id="ids of two channels"),
        pytest.param({"type": "affinities", "neighborhood": NEIGHBORHOOD}, classes("m", "n", combine="channels"), ["task.type", "affinities", "2 channels"], id="affinities of two channels"),
        pytest.param({"type": "one_hot", "classes": ["bg", "x"]}, classes("m", "n"), ["task.classes", "hold 2, which is not a class", "0 bg, 1 x"], id="more named ids than classes"),
        pytest.param({"type": "one_hot", "classes": ["bg", "x"]}, "classes", ["task.classes", "'cube': the labels hold 2, 3", "unlabelled"], id="more values than classes"),
        pytest.param({"type": "affinities", "neighborhood": NEIGHBORHOOD}, "negative", ["volumes.cube.labels", "negative label -1"], id="negative ids"),
        pytest.param({"type": "one_hot", "classes": ["bg", "x"]}, "negative", ["volumes.cube.labels", "negative label -1"], id="negative labels"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit_the_task_are_reported(inspected, task, labels, expected):
    message = refused(inspected, task=task, labels=labels)
    for part in expected:
        assert part in message, message


@pytest.mark.parametrize(
    ("task", "labels", "more"),
    [
        pytest.param({**DISTANCE, "channels": ["m", "n"], "class_ids": [1, 2]}, "classes", {}, id="distances of ids"),
        pytest.param({**DISTANCE, "channels": ["m", "n"]}, classes("m", "n", combine="channels"), {}, id="distances of channels"),
        pytest.param({"type": "one_hot", "classes": ["bg", "m", "n"]}, classes("m", "n"), {}, id="named classes"),
        pytest.param({"type": "one_hot", "classes": ["a", "b", "c", "d"]}, "classes", {}, id="as many classes as values"),
        pytest.param({"type": "one_hot", "classes": ["a", "b", "c"]}, {"path": "cube.h5", "dataset": "classes", "unlabelled": 3}, {}, id="one value is unlabelled"),
        pytest.param({"type": "one_hot", "classes": ["a", "b"]}, "classes", {"mask": {"path": "cube.h5", "dataset": "mask"}}, id="a mask leaves the others out"),
    ],
)  # fmt: skip
def test_labels_that_fit_the_task_pass(inspected, task, labels, more):
    assert inspected(task=task, labels=labels, more=more).warnings == []


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param({"training": {"sampling": {"cub": {"weight": 2}}}}, ["training.sampling.cub", "fix:      did you mean 'cube'?"], id="samples of an unknown volume"),
        pytest.param({"training": {"sampling": {"cube": {"points": "points.txt"}}}}, ["sampling.cube.points", "points.txt', which is not there"], id="missing points"),
        pytest.param({"training": {"sampling": {"cube": {"roi": {"offset": [900, 0, 0], "shape": [10, 10, 10]}}}}}, ["sampling.cube.roi", "no labels", "0 to 320"], id="samples outside of the volume"),
        pytest.param({"training": {"sampling": {"cube": {"roi": {"offset": [0, 0], "shape": [10, 10]}}}}}, ["sampling.cube.roi", "3 numbers each"], id="samples in another dimension"),
        pytest.param({"training": {"iterations": 10, "checkpoint": {"interval": 2}}, "prediction": {"checkpoint": 5}}, ["prediction.checkpoint", "5: the checkpoint of this iteration is never made", "8, 10"], id="an iteration without checkpoint"),
        pytest.param({"prediction": {"checkpoint": 100000}}, ["prediction.checkpoint", "never made"], id="an iteration beyond the training"),
        pytest.param({"training": {"iterations": 10, "checkpoint": {"interval": 2}}, "prediction": {"checkpoint": 2}}, ["is deleted", "keep_every"], id="a checkpoint that is not kept"),
        pytest.param({"training": {"checkpoint": {"interval": 2}, "validation": {"criterion": "voi", "segmentation_interval": 2}}}, ["training.validation.criterion", "no validation volumes", "volumes.validate"], id="a criterion without validation volumes"),
    ],
)  # fmt: skip
def test_impossible_settings_of_the_training_are_reported(inspected, run, expected):
    message = refused(inspected, **run)
    for part in expected:
        assert part in message, message


@pytest.mark.parametrize("iteration", [4, 8, 10])
def test_a_checkpoint_that_is_kept_may_predict(inspected, iteration):
    training = {"iterations": 10, "checkpoint": {"interval": 2, "keep_every": 4}}
    assert inspected(training=training, prediction={"checkpoint": iteration}).plans


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("floats", "[0, 235]", id="gray values as floats"),
        pytest.param("twelve", "6.1 % of the range", id="twelve bits in sixteen"),
        pytest.param("raw", None, id="eight bits"),
        pytest.param("units", None, id="floats from 0 to 1"),
        pytest.param("sixteen", None, id="sixteen bits"),
    ],
)
def test_raw_data_that_do_not_fit_the_range_of_their_type_give_a_warning(inspected, raw, expected):
    warnings = inspected(raw=raw).warnings
    assert len(warnings) == (expected is not None)
    if expected is not None:
        assert (
            expected in warnings[0]
            and "runs.run.training.intensity" in warnings[0]
            and "'cube'" in warnings[0]
        )
        limits = [0, 235 if raw == "floats" else 4000]
        assert inspected(raw=raw, training={"intensity": limits}).warnings == []
        assert inspected(raw=raw, training={"intensity": {"percentiles": [1, 99]}}).warnings == []


def test_a_range_in_which_the_image_is_all_white_is_an_error_and_one_that_clips_much_a_warning(inspected):
    message = refused(inspected, raw="twelve", training={"intensity": [-1, 0]})
    assert "runs.run.training.intensity (line" in message and "the network sees no image" in message
    (warning,) = inspected(raw="twelve", training={"intensity": [0, 1000]}).warnings
    assert "of the voxels are clipped" in warning and "the range of" not in warning


def test_a_volume_with_other_gray_values_than_the_training_volume_causes_a_warning(inspected):
    more = {"raw": {"path": "cube.h5", "dataset": "sixteen"}}
    (warning,) = inspected(more=more, volumes={"train": ["other"], "test": ["cube"]}).warnings
    assert "'cube'" in warning and "white is 255" in warning


@pytest.mark.parametrize(("longest", "is_refused"), [(31, False), (32, True), (-32, True)])
def test_an_offset_that_leads_out_of_all_labels_is_refused(inspected, longest, is_refused):
    task = {"type": "affinities", "neighborhood": [*NEIGHBORHOOD, [0, 0, longest]]}
    if not is_refused:
        assert inspected(task=task).warnings == []
        return
    message = refused(inspected, task=task)
    assert f"runs.run.task.neighborhood[{len(NEIGHBORHOOD)}] (line" in message
    assert f"[0, 0, {longest}], but the labels have 32 x 32 x 32 voxels" in message


@pytest.mark.parametrize("is_background", [True, False])
def test_an_offset_between_annotated_sections_that_are_apart_causes_a_warning(inspected, is_background):
    labels = {"path": "cube.h5", "dataset": "sections"} | ({} if is_background else {"unlabelled": 0})
    task = {"type": "affinities", "neighborhood": [*NEIGHBORHOOD, [4, 0, 0]]}
    warnings = inspected(task=task, labels=labels).warnings
    assert len(warnings) == (not is_background)
    for text in warnings:
        assert (
            "runs.run.task.neighborhood[0]: no two annotated voxels" in text
            and "[1, 0, 0] voxels apart" in text
        )


@pytest.mark.parametrize(
    ("begin", "labels", "is_reported"), [(0, "classes", True), (160, "classes", False), (0, None, False)]
)
def test_labels_at_the_same_voxels_for_training_and_test_cause_a_warning(
    inspected, begin, labels, is_reported
):
    first = {"roi": {"offset": [0, 0, 0], "shape": [160, 320, 320]}}
    second = {"raw": {"path": "cube.h5", "dataset": "raw"}, "voxel_size": [10, 10, 10]}
    second |= {"labels": {"path": "cube.h5", "dataset": labels}} if labels else {}
    second["roi"] = {"offset": [begin, 0, 0], "shape": [160, 320, 320]}
    network = {"input_shape": [16, 24, 24], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]}
    volumes = {"train": ["cube"], "test": ["other"]}
    warnings = inspected(more=first, other=second, volumes=volumes, architecture=network).warnings
    assert len(warnings) == is_reported
    if is_reported:
        assert "cube (train) and other (test) have labels at the same voxels" in warnings[0]
        assert "0 to 160, 0 to 320, 0 to 320 nanometer" in warnings[0]


@pytest.mark.parametrize(("size", "count"), [(32, 0), (34, 1)])
def test_samples_larger_than_all_training_images_cause_a_warning(inspected, size, count):
    network = {"input_shape": [24, 24, size], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]}
    warnings = inspected(architecture=network).warnings
    assert len(warnings) == count
    assert all("runs.run.architecture.input_shape" in text and "[32, 32, 32]" in text for text in warnings)


@pytest.mark.parametrize(
    ("network", "is_reported"),
    [
        ({"downsample_factors": [[2, 2, 2]] * 3, "channels": [4, 4, 4, 4]}, True),
        ({"downsample_factors": [[1, 2, 2]] * 3, "channels": [4, 4, 4, 4]}, True),
        ({"downsample_factors": [[2, 2, 2]], "channels": [4, 4]}, False),
    ],
)
def test_samples_of_at_most_half_the_context_of_their_network_cause_a_warning(
    inspected, network, is_reported
):
    warnings = inspected(architecture={"input_shape": [16, 16, 16], **network}).warnings
    assert len(warnings) == is_reported
    for warning in warnings:
        assert (
            "runs.run.architecture.input_shape" in warning and "[16, 16, 16]" in warning and "48" in warning
        )


def test_raw_data_that_are_not_finite_are_reported(inspected):
    message = refused(inspected, raw="broken")
    assert "volumes.cube.raw (line" in message and "not finite" in message


def test_the_workflow_starts_with_the_warnings_of_the_check(inspected, tmp_path, monkeypatch, capsys):
    warnings = inspected(raw="floats").warnings
    monkeypatch.setattr(os, "environ", dict(os.environ))
    open_workflow(tmp_path, [tmp_path / "config.yaml"], {}, is_main_process=True)
    assert capsys.readouterr().err.splitlines() == [f"warning: {warning}" for warning in warnings]


@pytest.mark.parametrize(
    ("run", "key", "expected"),
    [
        ({"evaluation": {"block_size": [16, 16]}}, "evaluation.block_size", "3 numbers"),
        ({"prediction": {"block_size": [16, 16]}}, "prediction.block_size", "3 numbers"),
        ({"architecture": {"input_shape": [24, 24, 24], "channels": [4, 800_000_000], "downsample_factors": [[2, 2, 2]]}}, "architecture", "a smaller network"),
        ({"architecture": {"input_shape": [2**20] * 3, "channels": [4, 8], "downsample_factors": [[2, 2, 2]]}}, "architecture", "a smaller network"),
        ({"training": {"iterations": 10**15, "checkpoint": {"interval": 1}}, "prediction": {"checkpoint": -3}}, "prediction.checkpoint", "an iteration whose checkpoint is kept: 999999999999999, 1000000000000000"),
    ],
)  # fmt: skip
def test_sizes_that_a_later_stage_would_refuse_are_reported_once(inspected, run, key, expected):
    message = refused(inspected, **run)
    assert f"runs.run.{key}" in message and expected in message and "has 1 problem;" in message, message


@pytest.mark.parametrize(
    ("results", "expected"), [("r" * 300, "names of 255 bytes"), ("res{run}", "takes braces for wildcards")]
)
def test_a_directory_of_results_that_cannot_be_made_is_reported(inspected, tmp_path, results, expected):
    inspected()
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text() + f"results: '{results}'\n")
    with pytest.raises(ConfigurationError, match="has 1 problem") as caught:
        check_configuration(load_configuration(path), path)
    assert "results (line" in str(caught.value) and expected in str(caught.value)


def test_a_local_directory_of_arrays_with_braces_is_reported(inspected, tmp_path):
    inspected()
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text() + "storage: 'arrays{1}'\n")
    with pytest.raises(ConfigurationError, match="has 1 problem") as caught:
        check_configuration(load_configuration(path), path)
    assert "storage (line" in str(caught.value) and "takes braces for wildcards" in str(caught.value)


def test_an_object_store_whose_bucket_does_not_exist_is_reported(inspected, tmp_path, bucket):
    inspected()
    path = tmp_path / "config.yaml"
    text = path.read_text()
    path.write_text(f"{text}storage: {bucket}/project\n")
    check_configuration(load_configuration(path), path)
    path.write_text(f"{text}storage: s3://no-such-bucket/project\n")
    with pytest.raises(ConfigurationError, match="has 1 problem") as caught:
        check_configuration(load_configuration(path), path)
    assert "storage (line" in str(caught.value) and "bucket does not exist" in str(caught.value)


def test_a_volume_without_objects_gives_a_warning_and_training_volumes_without_any_a_problem(inspected):
    nothing = {"path": "cube.h5", "dataset": "nothing"}
    assert inspected(labels=nothing, task={"type": "one_hot", "classes": ["bg", "x"]}).warnings == [
        "volumes.cube: the labels hold no object, only 0: an example without objects, or another file",
        "runs.run: no training volume holds a voxel of x",
    ]
    for task in (DISTANCE, {"type": "affinities", "neighborhood": NEIGHBORHOOD}):
        message = refused(inspected, labels=nothing, task=task)
        assert "runs.run.volumes.train" in message and "without a single object" in message
    message = refused(inspected, labels={**nothing, "unlabelled": 0})
    assert (
        "volumes.cube.labels" in message and "hold only 0, the value of voxels without annotation" in message
    )
    assert "has 1 problem;" in message


def test_a_class_that_no_training_volume_holds_gives_a_warning(inspected):
    sources = classes("m", "n")
    sources["classes"][1]["values"] = [9]
    assert inspected(task={"type": "one_hot", "classes": ["bg", "m", "n"]}, labels=sources).warnings == [
        "runs.run: no training volume holds a voxel of n"
    ]
    task = {**DISTANCE, "channels": ["m", "n"], "class_ids": [1, 7]}
    assert inspected(task=task).warnings == ["runs.run: no training volume holds a voxel of id 7"]


def test_a_single_negative_label_is_found_once_and_can_be_declared(inspected):
    corner = {"path": "cube.h5", "dataset": "corner"}
    task = {"type": "affinities", "neighborhood": NEIGHBORHOOD}
    message = refused(inspected, labels=corner, task=task)
    assert "negative label -1" in message and "set unlabelled: -1 under labels" in message
    assert "has 1 problem;" in message
    assert inspected(labels={**corner, "unlabelled": -1}, task=task).warnings == []
