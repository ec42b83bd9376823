"""Provenance of a run in the report."""

import json
from pathlib import Path

import pytest

from attacca.manifest import Manifest
from attacca.report.provenance_tables import list_block_times, read_provenance_facts
from attacca.report.results import Results


def test_each_machine_is_one_line(tmp_path):
    machine = {"processor": "Xeon", "cores": 16, "gpus": ["H200"], "device": "cuda:0"}
    hardware = {"train": [machine, {**machine, "gpus": []}], "provenance": [{"processor": "Epyc"}]}
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "provenance.json").write_text(json.dumps({"hardware": hardware}))
    assert [(fact.name, fact.value) for fact in read_provenance_facts(Results(tmp_path), "first")] == [
        ("hardware train 1", "processor: Xeon, cores: 16, gpus: [H200], device: cuda:0"),
        ("hardware train 2", "processor: Xeon, cores: 16, device: cuda:0"),
        ("hardware provenance", "processor: Epyc"),
    ]


@pytest.mark.parametrize("stage", ["relabel", "classes"])
def test_the_block_times_of_a_segmentation_are_those_of_the_stage_in_its_manifest(
    tmp_path: Path, stage: str
) -> None:
    results = Results(tmp_path)
    Manifest(stage, 1, {}, {}, {"blocks": 8}).write(results.layout.manifest("first", "cube", "segmentation"))
    for shard, seconds in enumerate((2.0, 3.0)):
        path = results.layout.benchmark("first", "cube", f"{stage}_shard_{shard}_of_2")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:0{seconds:.0f}\n")
    assert list_block_times(results, "first") == [("segmentation", "cube", "8", "5 s")]
