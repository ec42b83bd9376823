"""``attacca reproduce``: computation, refusals and comparison."""

import subprocess

import pytest
import yaml

from attacca.atomic import write_json
from attacca.cli.main import main
from attacca.errors import AttaccaError, ConfigurationError, MissingInputError
from attacca.provenance.reproduction import read_provenances, reproduced_configuration
from attacca.workflow import run_snakemake


def test_both_results_are_compared_on_the_command_line(project, provenance, tmp_path, capsys):
    other = tmp_path / "other"
    write_json(project.results / "first" / "provenance.json", provenance())
    write_json(other / "first" / "provenance.json", provenance())
    command = ["reproduce", str(project.results), "--into", str(other), "--compare-only"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "nothing is computed" in output and "all digests" in output
    write_json(other / "first" / "provenance.json", provenance(seed=3))
    assert main(command) == 1
    assert "the first difference is in train of first" in capsys.readouterr().out


def test_results_are_not_reproduced_onto_themselves(project, capsys):
    assert main(["reproduce", str(project.results), "--into", str(project.results)]) == 2
    assert "another directory" in capsys.readouterr().err


def test_without_provenance_the_workflow_has_to_finish_first(project):
    with pytest.raises(MissingInputError, match="finish first"):
        read_provenances(project.results, None)


def test_the_configuration_comes_from_the_provenance_not_from_the_file(project, provenance, values):
    known = {"first": provenance()}
    changed = values()
    changed["runs"]["first"]["seed"] = 9
    project.write(changed)
    assert reproduced_configuration(known, project.results, None)["runs"]["first"]["seed"] == 0
    assert reproduced_configuration(known, project.results, project.path)["runs"]["first"]["seed"] == 9


def test_another_configuration_must_have_the_runs(project, provenance, values, tmp_path):
    known = {"first": provenance()}
    renamed = values()
    renamed["runs"]["second"] = renamed["runs"].pop("first")
    path = tmp_path / "renamed.yaml"
    path.write_text(yaml.safe_dump(renamed))
    with pytest.raises(ConfigurationError, match="no run first"):
        reproduced_configuration(known, project.results, path)


@pytest.fixture
def computing(project, provenance, monkeypatch):
    """A substitute of Snakemake: starts are counted, and each writes the provenance unless it fails."""
    write_json(project.results / "first" / "provenance.json", provenance())

    class Computing:
        starts = 0
        fails = False

    def run(command, **options):
        Computing.starts += 1
        if not Computing.fails:
            write_json(command[-1], provenance())
        return subprocess.CompletedProcess(command, int(Computing.fails))

    monkeypatch.setattr(run_snakemake.subprocess, "run", run)
    return Computing


def test_a_finished_reproduction_is_not_called_equal_a_second_time_without_computing(
    project, computing, tmp_path, capsys
):
    command = ["reproduce", str(project.results), "--into", str(tmp_path / "again")]
    assert main(command) == 0
    assert "are equal" in capsys.readouterr().out
    assert main(command) == 2
    output = capsys.readouterr()
    assert computing.starts == 1
    assert "are equal" not in output.out
    assert "finished" in output.err and "delete it" in output.err and "--compare-only" in output.err
    assert main([*command, "--compare-only"]) == 0


def test_an_interrupted_reproduction_is_continued_by_the_same_command(project, computing, tmp_path, capsys):
    command = ["reproduce", str(project.results), "--into", str(tmp_path / "again")]
    computing.fails = True
    assert main(command) == 1
    assert "run the same command again" in capsys.readouterr().err
    computing.fails = False
    assert main(command) == 0
    assert computing.starts == 2


@pytest.mark.parametrize("into", ["link", "sub/../results", "results/inside", "."])
def test_results_are_never_computed_over_by_whatever_path(
    project, computing, tmp_path, monkeypatch, capsys, into
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("results")
    (tmp_path / "sub").mkdir()
    assert main(["reproduce", "results", "--into", into]) == 2
    output = capsys.readouterr().err
    assert f"--into {into}" in output and str(project.results) in output
    assert computing.starts == 0


@pytest.mark.parametrize("into", ["config.yaml", "config.yaml/below", "/proc/no/such"])
def test_a_path_that_is_not_a_directory_gives_one_message(
    project, computing, tmp_path, monkeypatch, capsys, into
):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "results", "--into", into]) in (1, 2)
    output = capsys.readouterr().err
    assert into in output and "name" in output
    assert computing.starts == 0


@pytest.mark.parametrize(
    "text", ['{"configuration": {"runs', "{}", "[]", '{"configuration": {"runs": {"first": {}}}}']
)
def test_a_torn_provenance_is_named_and_how_to_get_it_back(project, text):
    path = project.results / "first" / "provenance.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(AttaccaError, match="Delete it and start the workflow again") as error:
        read_provenances(project.results, None)
    assert str(path) in str(error.value)


def test_an_unreadable_configuration_gives_a_message_without_traceback(project, provenance, tmp_path, capsys):
    values = provenance()
    values["configuration"]["runs"]["first"]["task"] = {"type": "guess"}
    for place in (project.results, tmp_path / "other"):
        write_json(place / "first" / "provenance.json", values)
    assert main(["reproduce", str(project.results), "--into", str(tmp_path / "other"), "--compare-only"]) == 1
    assert "this version of Attacca cannot read the configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "found"), [("config.yaml", "is a file"), ("rezults", "is not there"), ("empty", "no workflow")]
)
def test_a_path_that_is_not_a_directory_of_results_is_refused(project, tmp_path, given, found):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInputError, match="not a directory of results") as error:
        read_provenances(tmp_path / given, None)
    assert found in str(error.value)


def test_a_run_without_provenance_is_reported_with_those_that_have_one(project, provenance):
    write_json(project.results / "first" / "provenance.json", provenance())
    with pytest.raises(MissingInputError, match=r"second/provenance.json.*that have one: first"):
        read_provenances(project.results, ["second"])
