"""What the report says of a run's provenance."""

import json

from attacca.report.provenance import provenance_facts
from attacca.report.results import Results


def test_each_machine_is_one_line(tmp_path):
    machine = {"processor": "Xeon", "cores": 16, "gpus": ["H200"], "device": "cuda:0"}
    hardware = {"train": [machine, {**machine, "gpus": []}], "provenance": [{"processor": "Epyc"}]}
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "provenance.json").write_text(json.dumps({"hardware": hardware}))
    assert [(fact.name, fact.value) for fact in provenance_facts(Results(tmp_path), "first")] == [
        ("hardware train 1", "processor: Xeon, cores: 16, gpus: [H200], device: cuda:0"),
        ("hardware train 2", "processor: Xeon, cores: 16, device: cuda:0"),
        ("hardware provenance", "processor: Epyc"),
    ]
