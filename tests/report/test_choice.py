"""The tuner's choice: read as the tuner writes it, and listed under the names of the configuration."""

import json
from typing import Any

import pytest

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings, SegmentationConfig
from attacca.report import choice as module
from attacca.report.choice import Choice, list_chosen_settings, read_choice


def choice_of(fragments: FragmentSettings, rows: list[dict[str, Any]], **agglomeration: Any) -> Choice:
    parts = {"fragments": fragments, "agglomeration": AgglomerationSettings(**agglomeration)}
    chosen: dict[str, Any] = {name: part.model_dump(mode="json") for name, part in parts.items()}
    table = {"criterion": "voi", "table": rows, "chosen": chosen | {"row": len(rows) - 1}}
    return read_choice({"result": table})


def test_the_row_of_what_the_tuner_wrote_is_that_of_its_choice(fake_results: Any) -> None:
    tuning = json.loads((fake_results.directory / "default" / "tuning.json").read_text())
    choice = read_choice(tuning)
    fragments, agglomeration = (
        tuning["result"]["chosen"]["fragments"],
        tuning["result"]["chosen"]["agglomeration"],
    )
    assert choice.row is not None and choice.criterion == "voi"
    assert choice.row["voi"] == min(row["voi"] for row in choice.rows)
    assert choice.row["chain"] == fragments["chain"]
    assert choice.row["threshold"] == agglomeration["threshold"]
    assert {"chain", "bias", "threshold", "min_size"} <= choice.varied
    assert "strides" not in choice.varied


def test_chain_bias_and_threshold_come_first_and_defaults_are_folded() -> None:
    rows: list[dict[str, Any]] = [
        {"chain": "mutex_watershed", "bias": bias, "min_evidence": 0.75} for bias in (0.5, 0.3)
    ]
    chief, others = list_chosen_settings(
        choice_of(FragmentSettings(chain="mutex_watershed", bias=0.3, strides=2), rows, threshold=0.4)
    )
    assert [(fact.name, fact.value) for fact in chief] == [
        ("method of fragments", "mutex_watershed"),
        ("bias", "0.3"),
        ("strides", "2"),
        ("method of agglomeration", "mean_affinity"),
        ("threshold", "0.4"),
        ("min size", "0"),
    ]
    assert "min evidence" in {fact.name for fact in others}


def test_varied_settings_come_first_even_where_the_default_won() -> None:
    rows: list[dict[str, Any]] = [{"min_evidence": value} for value in (0.5, 0.75)]
    chief, _ = list_chosen_settings(choice_of(FragmentSettings(chain="mutex_watershed"), rows))
    assert ("min evidence", "0.75") in [(fact.name, fact.value) for fact in chief]


def test_settings_that_the_chosen_chain_does_not_read_are_left_out() -> None:
    chief, others = list_chosen_settings(choice_of(FragmentSettings(chain="seeded"), []))
    names = {fact.name for fact in chief + others}
    assert "inside above" in names
    assert not names & {"bias", "strides", "long bias", "row", "context"}


@pytest.mark.parametrize("chain", ["seeded", "mutex_watershed", "connected_components"])
def test_every_setting_of_a_candidate_belongs_to_its_chain(chain: Any) -> None:
    fragments = SegmentationConfig(chain=chain).fragment_candidates()[0]
    known = {"chain", *module.CHAIN_SETTINGS[chain], *module.COMMON_CHAIN_SETTINGS}
    assert fragments.model_fields_set <= known
    assert set(FragmentSettings.model_fields) == {"chain", *module.COMMON_CHAIN_SETTINGS}.union(
        *module.CHAIN_SETTINGS.values()
    )


def test_parameters_of_classes_are_listed_without_their_number() -> None:
    table = [{"id": 0, "threshold": 0.25, "jaccard": 0.1}, {"id": 1, "threshold": 0.5, "jaccard": 0.4}]
    choice = read_choice({"result": {"table": table, "chosen": {"id": 1, "threshold": 0.5}}})
    assert choice.row == table[1]
    assert list_chosen_settings(choice) == ([("threshold", "0.5", False)], [])


@pytest.mark.parametrize("tuning", [{}, {"result": 3}, {"result": {"table": 1, "chosen": 2}}])
def test_a_file_without_a_choice_gives_an_empty_list(tuning: dict[str, Any]) -> None:
    assert list_chosen_settings(read_choice(tuning)) == ([], [])
