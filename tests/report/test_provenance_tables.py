"""Provenance of a run in the report."""

import json

from attacca.report.provenance_tables import read_provenance_facts
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
