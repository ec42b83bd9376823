"""Exports that cannot be written are reported before any job starts."""

import pytest
import yaml

from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError
from attacca.preflight import check_export
from attacca.preflight.check_configuration import check_configuration
from tiny_configuration import tiny_configuration


def check(directory, values):
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return check_configuration(load_configuration(path), path)


def test_a_missing_package_is_reported_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(check_export, "find_missing", {"zmesh"}.intersection)
    values = tiny_configuration(export={"precomputed": {"meshes": True}})
    with pytest.raises(ConfigurationError) as caught:
        check(tmp_path, values)
    assert "runs.tiny.export.precomputed.meshes (line " in str(caught.value)
    assert "python -m pip install 'attacca[export]'" in str(caught.value)
    values["runs"]["tiny"]["export"] = {"precomputed": True, "tiff": True}
    check(tmp_path, values)


def test_meshes_of_a_two_dimensional_volume_are_refused(tmp_path):
    values = tiny_configuration(export={"precomputed": {"meshes": {"largest": 2}, "skeletons": True}})
    for volume in values["volumes"].values():
        volume |= {"synthetic": {**volume["synthetic"], "shape": [64, 64]}, "voxel_size": [8, 8]}
    run = values["runs"]["tiny"]
    run["task"]["neighborhood"] = [[1, 0], [0, 1], [3, 0]]
    run["architecture"] = {"input_shape": [32, 32], "num_fmaps": 4, "downsample_factors": [[2, 2]]}
    with pytest.raises(ConfigurationError, match="meshes of chosen, tested, which is 2D"):
        check(tmp_path, values)


def test_a_format_without_a_value_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"runs\.tiny\.export\.tiff"):
        check(tmp_path, tiny_configuration(export={"tiff": None}))
