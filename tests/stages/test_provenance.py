"""The record of a run's results: digests, seeds, versions, the checkout, machines."""

import json
import shutil

import numpy as np
import zarr

from attacca.arrays.links import write_link
from attacca.arrays.zarr_opening import ZarrArrayConfig
from attacca.atomic import write_json
from attacca.provenance.environment import read_checkout_state, read_hardware, read_package_versions
from attacca.stages.provenance import digest_outputs, list_seeds


def test_outputs_contain_digests_of_arrays_by_name(project):
    project.finish_until(project.instance("predict", "first", "cube-b"))
    found = digest_outputs(project.workflow.configuration, project.workflow.layout)
    assert found["volume"]["cube-a"]["raw"]["files"] == 1
    assert len(found["volume"]["cube-a"]["raw"]["digest"]) == 64
    assert "fingerprint" in found["train"]["first"]
    assert "predict" not in found


def test_a_volume_that_is_read_in_place_has_a_digest_of_its_source(project, tmp_path):
    project.finish(project.instance("volume", volume="cube-a"))
    source = zarr.create_array(
        tmp_path / "source.zarr", shape=(48, 48, 48), chunks=(16, 16, 16), dtype=np.uint8
    )
    source[:] = 7
    container = project.workflow.layout.volume_container("cube-a")
    shutil.rmtree(f"{container}/raw")
    write_link(container, "raw", ZarrArrayConfig(tmp_path / "source.zarr", ""))
    path = project.instance("volume", volume="cube-a").manifest(project.workflow.layout)
    arrays = {"arrays": {"raw": {"dataset": "raw/s0", "in_place": True}}}
    write_json(path, json.loads(path.read_text()) | {"result": arrays})

    before = digest_outputs(project.workflow.configuration, project.workflow.layout)["volume"]["cube-a"][
        "raw"
    ]
    assert before["read in place"] and before["files"] == 28
    source[:] = 255 - source[:]
    assert (
        digest_outputs(project.workflow.configuration, project.workflow.layout)["volume"]["cube-a"]["raw"][
            "digest"
        ]
        != before["digest"]
    )
    shutil.rmtree(tmp_path / "source.zarr")
    assert (
        "raw"
        not in digest_outputs(project.workflow.configuration, project.workflow.layout)["volume"]["cube-a"]
    )


def test_seeds_versions_checkout_and_hardware_are_known(project):
    found = list_seeds(project.workflow.configuration, "first")
    assert found == {"run": 0, "volume cube-a": 0, "volume cube-b": 1, "volume cube-c": 2}
    versions = read_package_versions()
    assert versions["torch"] and versions["zarr"].startswith("3.")
    assert any(item.startswith("numpy==") for item in versions["environment"])
    assert read_hardware()["cores"] >= 1
    state = read_checkout_state()
    assert not state or len(state["commit"]) == 40
