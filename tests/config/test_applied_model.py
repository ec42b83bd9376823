"""Runs with ``model:``: the sections of the model file become those of the run, and problems are reported at their keys."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from attacca.config.applied_model import fix_candidates, recall_choice
from attacca.config.intensity import PercentilesConfig
from attacca.config.load import load_configuration
from attacca.config.model_description import ModelDescription, read_model_description
from attacca.config.run import Configuration, RunConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.errors import ConfigurationError
from model_files import DISTANCES, describe_model, make_model_file


class Loader:
    """Writes configurations with one run and loads them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def load(self, **run: Any) -> Configuration:
        run = {"model": "model.zip", "volumes": {"test": ["cube"]}, **run}
        volumes = {"cube": {"synthetic": {"shape": [32, 32, 32]}, "voxel_size": [8, 8, 8]}}
        path = self.directory / "config.yaml"
        path.write_text(yaml.safe_dump({"volumes": volumes, "runs": {"r": run}}))
        return load_configuration(path)

    def run(self, **run: Any) -> RunConfig:
        return self.load(**run).runs["r"]

    def problems(self, **run: Any) -> str:
        with pytest.raises(ConfigurationError) as caught:
            self.load(**run)
        return str(caught.value)


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    make_model_file(tmp_path / "model.zip")
    return Loader(tmp_path)


def test_the_sections_of_a_model_become_those_of_the_run(loader: Loader) -> None:
    run = loader.run()
    description, digest = read_model_description(loader.directory / "model.zip")
    assert run.task == description.read_task()
    assert run.architecture == description.read_architecture()
    assert run.model is not None
    assert (run.model.path, run.model.digest) == (loader.directory / "model.zip", digest)
    assert not run.is_trained


def test_the_chosen_settings_are_the_only_candidates(loader: Loader) -> None:
    segmentation = loader.run().segmentation
    description, _ = read_model_description(loader.directory / "model.zip")
    assert segmentation.is_fixed
    fragments = segmentation.fragment_candidates()[0]
    assert fragments.model_dump(mode="json") == description.chosen["fragments"]
    agglomeration = segmentation.agglomeration_candidates(fragments)[0]
    assert agglomeration.model_dump(mode="json") == description.chosen["agglomeration"]


def test_a_setting_of_the_run_replaces_that_of_the_model_and_leaves_the_others(loader: Loader) -> None:
    chosen = loader.run().segmentation
    own = loader.run(segmentation={"threshold": 0.9, "checks": {"max_segment_share": None}}).segmentation
    assert own.thresholds() == [0.9]
    assert own.checks.max_segment_share is None
    assert own.checks.max_seam_excess == chosen.checks.max_seam_excess
    assert own.model_copy(update={"threshold": chosen.threshold, "checks": chosen.checks}) == chosen


def test_with_validation_volumes_the_candidates_of_the_training_are_compared_again(loader: Loader) -> None:
    run = loader.run(volumes={"validate": ["cube"]})
    assert run.segmentation == SegmentationConfig(chain="seeded", threshold=[0.3, 0.6], min_size=[0, 20])


def test_with_training_volumes_the_training_starts_from_the_model(loader: Loader) -> None:
    run = loader.run(volumes={"train": ["cube"]}, training={"iterations": 3})
    description, _ = read_model_description(loader.directory / "model.zip")
    assert run.is_trained
    assert run.task.learned_task == description.read_task()
    assert run.task.initial_weights == loader.directory / "model.zip"
    assert run.training.intensity == (0.0, 255.0)
    assert run.training.iterations == 3


def test_a_training_from_a_model_with_percentiles_has_the_same_percentiles(loader: Loader) -> None:
    make_model_file(
        loader.directory / "model.zip", intensity={"low_percentile": 1.0, "high_percentile": 99.0}
    )
    run = loader.run(volumes={"train": ["cube"]}, training={"iterations": 3})
    assert run.training.intensity == PercentilesConfig(percentiles=(1, 99))


CHAINS = ["seeded", "mutex_watershed", "connected_components"]


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("agglomeration", ["mean_affinity", "mutex_watershed", "none"])
def test_every_candidate_can_be_fixed(chain: str, agglomeration: str) -> None:
    section = SegmentationConfig.model_validate(
        {
            "chain": chain,
            "agglomeration": ["mean_affinity", agglomeration] if agglomeration == "none" else agglomeration,
            "bias": [0.5, [0.2, 0.8], [0.1, 0.2, 0.3, 0.4]],
            "strides": [[1, 1, 1], [1, 1, 1], [1, 1, 1], [2, 3, 3]],
            "min_evidence": [0.25, 0.5],
            "inside_above": [0.4, 0.5],
            "threshold": [0.2, 0.7],
            "long_bias": [0.3, 0.6],
            "min_size": [0, 30],
            "min_extent": [2, 2, 2],
            "debris": "delete",
            "sigma": 1.5,
            "block_size": [32, 32, 32],
        }
    )
    count = 0
    for fragments in section.fragment_candidates():
        for settings in section.agglomeration_candidates(fragments):
            chosen = {
                "fragments": fragments.model_dump(mode="json"),
                "agglomeration": settings.model_dump(mode="json"),
            }
            values = describe_model(segmentation=section.model_dump(mode="json"), chosen=chosen)
            fixed = SegmentationConfig.model_validate(fix_candidates(ModelDescription.model_validate(values)))
            assert fixed.fragment_candidates() == [fragments]
            assert fixed.agglomeration_candidates(fragments) == [settings]
            count += 1
    assert count > 3


def test_the_threshold_of_a_voxelwise_task_is_that_of_the_model_unless_the_run_names_its_own(
    tmp_path: Path,
) -> None:
    make_model_file(tmp_path / "model.zip", DISTANCES)
    loader = Loader(tmp_path)
    run = loader.run()
    assert recall_choice(run.model, run.task) == {"id": 1, "threshold": 0.25}
    own = loader.run(task={"thresholds": [0.5]})
    assert own.task == run.task.model_copy(update={"thresholds": [0.5]})
    assert recall_choice(own.model, own.task) is None


def test_a_loaded_configuration_can_be_loaded_again(loader: Loader) -> None:
    for more in ({}, {"volumes": {"train": ["cube"]}, "training": {"iterations": 3}}):
        first = loader.load(**more)
        path = loader.directory / "again.yaml"
        path.write_text(yaml.safe_dump(first.model_dump(mode="json", by_alias=True)))
        assert load_configuration(path) == first


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param({"model": "missing.zip"}, ["runs.r.model", "missing.zip: no such file"], id="no file"),
        pytest.param({"model": {"path": "model.zip", "digest": "0" * 64}}, ["runs.r.model.digest", "a model with the digest"], id="another digest"),
        pytest.param({"task": {"type": "one_hot", "classes": ["a", "b"]}}, ["runs.r.task.type", "'one_hot'", "the value of the model, 'affinities'"], id="another task"),
        pytest.param({"architecture": {"num_fmaps": 99}}, ["runs.r.architecture.num_fmaps", "99", "the value of the model, 2"], id="another network"),
        pytest.param({"training": {"iterations": 9}}, ["runs.r.training", "without training volumes", "remove 'training'"], id="settings of a training"),
        pytest.param({"volumes": {"test": []}}, ["runs.r.volumes", "found:    no volume"], id="nothing to segment"),
        pytest.param({"model": None}, ["has 2 problems", "runs.r.volumes", "at least 1 item", "the key 'task'"], id="neither model nor training"),
        pytest.param({"model": 3}, ["runs.r.model"], id="a number"),
        pytest.param({"model": "missing.zip", "seed": -1}, ["has 2 problems", "runs.r.seed", "runs.r.model"], id="two causes"),
        pytest.param({"volumes": {"train": ["cube"]}, "architecture": {"num_fmaps": 99}}, ["runs.r.architecture.num_fmaps"], id="a further training of another network"),
    ],
)  # fmt: skip
def test_a_problem_is_reported_at_its_key_and_once(
    loader: Loader, run: dict[str, Any], expected: list[str]
) -> None:
    text = loader.problems(**run)
    for part in expected:
        assert part in text
    assert "has 2 problems" in expected or "has 1 problem;" in text
