"""Impossible numbers on the command line are refused at once."""

import io
import sys

import pytest
import yaml

from attacca.cli import apply
from attacca.cli.main import main


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--cores", "-1"],
        ["plan", "--cores", "0"],
        ["plan", "--cores", "two"],
        ["plan", "--jobs", "-2"],
        ["plan", "--memory", "-3"],
        ["plan", "--memory", "nan"],
        ["plan", "--disk", "-1"],
        ["status", "--watch", "-1"],
        ["status", "--watch", "inf"],
        ["view", "--port", "70000"],
        ["reproduce", "results", "--cores", "0"],
    ],
    ids=" ".join,
)
def test_an_invalid_number_is_refused_with_the_expected_values(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    option, value = arguments[-2:]
    assert f"argument {option}: found '{value}', expected a" in message


@pytest.mark.parametrize("size", [["40,4,4"], ["40", "4", "4"], ["40x4x4"]], ids=" ".join)
def test_a_voxel_size_is_given_as_one_word_or_as_three(size, monkeypatch):
    applications = []
    monkeypatch.setattr(apply, "prepare_application", lambda *arguments: applications.append(arguments[0]))
    base = ["apply", "model.zip", "--raw", "a.tif", "--out", "results", "--only-configuration"]
    assert main([*base, "--voxel-size", *size]) == 0
    assert applications[0].voxel_size == [40, 4, 4]


def test_init_states_that_a_voxel_size_has_no_spaces(capsys):
    with pytest.raises(SystemExit):
        main(["init", "data", "--voxel-size", "8", "8", "8"])
    assert "found '8', expected z,y,x or y,x without spaces, such as 40,4,4" in capsys.readouterr().err


def test_characters_that_the_terminal_lacks_are_escaped(tmp_path, values, monkeypatch):
    path = tmp_path / "Größe.yaml"
    path.write_text(yaml.safe_dump(values()))
    output = io.TextIOWrapper(io.BytesIO(), "ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", output)
    assert main(["check", str(path)]) == 0
    assert b"Gr\\xf6\\xdfe.yaml: no problems" in output.buffer.getvalue()


@pytest.mark.parametrize("command", ["check", "plan"])
def test_a_missing_configuration_is_reported_without_options_that_the_command_lacks(
    command, tmp_path, capsys
):
    path = tmp_path / "nowhere.yaml"
    assert main([command, str(path)]) != 0
    message = capsys.readouterr().err
    assert f"the configuration file {path} does not exist" in message
    assert f"attacca {command}" in message and "name yours" in message


def test_plan_lists_every_missing_volume_with_its_line_as_check_does(tmp_path, capsys, values):
    settings = values()
    for name in ("cube-a", "cube-b"):
        settings["volumes"][name] = {
            "raw": {"path": f"{name}.zarr"},
            "labels": {"path": f"{name}-labels.zarr"},
            "voxel_size": [8, 8, 8],
        }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    messages = []
    for command in ("check", "plan"):
        assert main([command, str(path)]) == 2
        messages.append(capsys.readouterr().err.partition(": ")[2])
    assert messages[0] == messages[1]
    assert all(
        f"volumes.{name}.{key}.path (line" in messages[0]
        for name in ("cube-a", "cube-b")
        for key in ("raw", "labels")
    )
