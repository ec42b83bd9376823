"""The paragraph and the bibliography for a paper name what a run used, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from attacca.config.tasks import read_task_config
from attacca.report.citations import CITATIONS, format_bibliography
from attacca.report.methods import Methods, describe_methods
from attacca.report.results import Results
from attacca.report.scores import read_scores


def describe(fake_results: Any, run: str) -> Methods:
    results, config = Results(fake_results.directory), fake_results.runs[run]
    scores = {"tissue-test": read_scores(results, run, "tissue-test")}
    return describe_methods(results, run, config, read_task_config(config["task"]), "voi", scores)


def test_data_model_settings_scores_and_versions_are_named(fake_results: Any) -> None:
    text = describe(fake_results, "default").text
    for part in (
        "on tissue-train to predict affinities to 5 neighbors",
        "3000 iterations, batches of 1",
        "seed 7",
        "chosen among 198 by their VOI on tissue-validation",
        "On the held-out volume tissue-test, the variation of information is 0.390 bits (split 0.270, merge 0.120)",
        "PyTorch 2.13.0",
        "ef" * 32,
    ):
        assert part in text, (part, text)


def test_a_run_without_results_is_described_as_far_as_it_is_known(tmp_path: Path) -> None:
    methods = describe_methods(Results(tmp_path), "run", {}, None, None, {})
    assert re.fullmatch(
        r"Volumes were segmented with Attacca \S+, a Snakemake workflow. A network was trained.", methods.text
    )
    assert re.findall(r"^@\w+{(\w+),", methods.bibliography, re.MULTILINE) == [
        "attacca",
        "snakemake",
        "ome_zarr",
    ]


def test_only_methods_of_the_run_are_cited(fake_results: Any, tmp_path: Path) -> None:
    keys = re.findall(r"^@\w+{(\w+),", describe(fake_results, "membranes").bibliography, re.MULTILINE)
    assert keys == ["attacca", "snakemake", "unet", "ome_zarr"]
    chosen = {
        "fragments": {"chain": "mutex_watershed"},
        "agglomeration": {"method": "mean_affinity", "threshold": 0.5},
    }
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tuning.json").write_text(json.dumps({"result": {"chosen": chosen}}))
    cited = describe_methods(Results(tmp_path), "run", {}, None, None, {}).bibliography
    assert "{mutex_watershed," in cited and "{mean_affinity," in cited and "{lsds," not in cited


@pytest.mark.parametrize("key", CITATIONS)
def test_each_entry_is_balanced_bibtex(key: str) -> None:
    text = format_bibliography([key], "1.0")
    assert text.count("{") == text.count("}") and text.startswith("@") and text.endswith("}")
    assert key == "attacca" or "doi = {10." in text or "url = {https://" in text


def test_the_optimizer_is_named_and_cited(tmp_path: Path) -> None:
    config = {"training": {"optimizer": {"type": "muon", "learning_rate": 0.02}}}
    methods = describe_methods(Results(tmp_path), "run", config, None, None, {})
    assert "(Muon, learning rate 0.02)" in methods.text and "@misc{muon," in methods.bibliography


def test_the_smallest_segment_and_the_settings_of_fragments_are_named(tmp_path: Path) -> None:
    chosen = {
        "fragments": {"chain": "seeded", "inside_above": 0.4},
        "agglomeration": {"method": "mean_affinity", "threshold": 0.5, "min_size": 200, "debris": "delete"},
    }
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tuning.json").write_text(json.dumps({"result": {"chosen": chosen}}))
    text = describe_methods(Results(tmp_path), "run", {}, None, None, {}).text
    assert "by a seeded watershed (objects above 0.4), followed by agglomeration by mean affinity" in text
    assert "(threshold 0.5); segments of fewer than 200 voxels were deleted." in text


def test_augmentation_is_named(tmp_path: Path) -> None:
    augmentation = {"simple": {"mirror": True, "transpose": True}, "gamma": {}, "noise": None}
    config = {"training": {"iterations": 5, "augmentation": augmentation}}
    text = describe_methods(Results(tmp_path), "run", config, None, None, {}).text
    assert "(5 iterations, augmentation: mirroring, transposition and gamma)" in text


@pytest.mark.parametrize(("unlabelled", "is_named"), [(0, True), (None, False)])
def test_the_share_of_voxels_without_annotation_is_named(
    unlabelled: int | None, is_named: bool, tmp_path: Path
) -> None:
    results = Results(tmp_path)
    volume = {"unlabelled": unlabelled, "arrays": {"labels": {"shape": [10, 10, 10]}}}
    counts = [[[100, 600], 700.0], [[100, 650], 750.0]]
    for path, result in (
        (results.layout.volume_manifest("cube"), volume),
        (results.layout.targets_manifest("run", "cube"), {"counts": counts}),
    ):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"result": result}))
    text = describe_methods(results, "run", {"volumes": {"train": ["cube"]}}, None, None, {}).text
    assert (
        "25.0 % of the voxels of cube did not count, since they or their neighbors are not annotated." in text
    ) == is_named
