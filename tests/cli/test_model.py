"""``attacca model``."""

from attacca.cli.main import main
from model_files import DISTANCES, describe_model, make_model_file


def read_facts(path, capsys):
    assert main(["model", "show", str(path)]) == 0
    return dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())


def test_show_prints_the_chosen_threshold_and_the_scores_on_the_validation_volumes(tmp_path, capsys):
    chosen = describe_model()["chosen"] | {"row": 1}
    table = [
        {"chain": "seeded", "threshold": 0.3, "min_size": 0, "voi": 1.5, "voi_split": 1.0},
        {"chain": "seeded", "threshold": 0.6, "min_size": 0, "voi": 0.25, "voi_split": 0.125},
    ]
    path = make_model_file(tmp_path / "m.zip", chosen=chosen, tuning={"criterion": "voi", "table": table})
    facts = read_facts(path, capsys)
    threshold = chosen["agglomeration"]["threshold"]
    assert f"threshold {threshold}" in facts["settings"]
    assert facts["scores"].strip() == "voi 0.25, voi_split 0.125"


def test_show_prints_the_chosen_threshold_of_distances(tmp_path, capsys):
    table = [{"id": 1, "threshold": 0.25, "f1": 0.75}]
    tuning = {"criterion": "f1", "table": table}
    facts = read_facts(make_model_file(tmp_path / "m.zip", DISTANCES, tuning=tuning), capsys)
    assert facts["settings"].strip() == "threshold 0.25"
    assert facts["scores"].strip() == "f1 0.75"


def test_show_prints_no_scores_if_no_candidates_were_compared(tmp_path, capsys):
    facts = read_facts(make_model_file(tmp_path / "m.zip"), capsys)
    assert "threshold" in facts["settings"]
    assert not [name for name in facts if name.startswith("scores")]
