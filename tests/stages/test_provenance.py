"""What is written down of a run's results: digests, seeds, versions, the checkout, machines."""

from attacca.stages.provenance import outputs, seeds
from attacca.stages.surroundings import hardware, package_versions, source_state


def test_outputs_tell_digests_of_arrays_by_name(project):
    project.finish_until(project.instance("predict", "first", "cube-b"))
    found = outputs(project.workflow)
    assert found["volume"]["cube-a"]["raw"]["files"] == 1
    assert len(found["volume"]["cube-a"]["raw"]["digest"]) == 64
    assert "fingerprint" in found["train"]["first"]
    assert "predict" not in found


def test_seeds_versions_checkout_and_hardware_are_known(project):
    found = seeds(project.workflow.configuration, "first")
    assert found == {"run": 0, "volume cube-a": 0, "volume cube-b": 1, "volume cube-c": 2}
    versions = package_versions()
    assert versions["torch"] and versions["zarr"].startswith("2.")
    assert any(item.startswith("numpy==") for item in versions["environment"])
    assert hardware()["cores"] >= 1
    state = source_state()
    assert not state or len(state["commit"]) == 40
