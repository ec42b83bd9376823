"""Damaged files of finished stages are found."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from attacca.arrays.damage_notes import note_damage
from attacca.jobs.seals import break_seal, read_broken_seal, read_seal, seal_paths, write_seal
from attacca.workflow import damage as damage_module
from attacca.workflow.damage import find_damage
from attacca.workflow.read_states import read_states


@pytest.fixture
def sealed(project):
    """A finished project with voxels in the fragments of one volume, and the seals of all stages."""
    project.finish(*project.workflow.instances())
    project.fragments = project.instance("fragments", "first", "cube-c")
    directory = Path(project.fragments.arrays(project.workflow.layout)[0])
    array = zarr.open_array(directory, mode="a")
    array[:] = np.arange(1, 1 + array.size, dtype=np.uint32).astype(array.dtype).reshape(array.shape)
    project.chunk = directory / "c/1/2/0"
    assert project.chunk.is_file()
    for instance in project.workflow.instances():
        write_seal(instance, project.workflow.layout)
    return project


def found(project, **options) -> dict[str, dict[str, str]]:
    """The state of each damaged file, by the label of its stage."""
    report = find_damage(project.workflow, **options)
    return {
        f"{instance.stage.name} {instance.label}": {path.name: state for path, state in damage.files.items()}
        for instance, damage in report.stages.items()
    }


def flip(path: Path) -> None:
    """Flip a bit and keep the time of the file."""
    times = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_files_as_they_were_written_are_not_damaged(sealed):
    report = find_damage(sealed.workflow)
    assert not report.stages
    assert report.checked == report.read > 30
    assert "files exist with their sizes" in str(report)


@pytest.mark.parametrize("damage", ["changed", "truncated", "deleted"])
def test_a_damaged_chunk_is_found_and_has_to_be_computed_again(sealed, damage):
    if damage == "changed":
        flip(sealed.chunk)
    elif damage == "truncated":
        os.truncate(sealed.chunk, sealed.chunk.stat().st_size - 1)
    else:
        sealed.chunk.unlink()
    report = find_damage(sealed.workflow)
    assert list(report.stages) == [sealed.fragments]
    assert report.stages[sealed.fragments].files == {sealed.chunk: damage}
    assert report.stages[sealed.fragments].lost == [sealed.chunk]
    assert str(report.stages[sealed.fragments]) == f"{sealed.chunk} is {damage}"


def test_a_changed_small_file_has_a_copy(sealed):
    layout = sealed.workflow.layout
    original = layout.tuning("first").read_bytes()
    flip(layout.tuning("first"))
    damage = find_damage(sealed.workflow).stages[sealed.instance("tune", "first")]
    assert damage.copies == {layout.tuning("first"): original}
    assert not damage.needs_work


def test_deleted_manifests_arrays_and_unnamed_checkpoints_do_not_count(sealed):
    layout = sealed.workflow.layout
    sealed.fragments.manifest(layout).unlink()
    shutil.rmtree(sealed.instance("predict", "first", "cube-c").arrays(layout)[0])
    (layout.checkpoints("first") / "iteration_00000010.pt").unlink()
    assert found(sealed) == {}


def test_a_run_that_was_deleted_as_a_whole_is_not_damaged(sealed):
    shutil.rmtree(sealed.results / "first")
    assert found(sealed) == {}
    assert found(sealed, repair_seals=True) == {}
    assert not (sealed.results / "first").exists()


def test_status_lists_damage_without_reading_arrays(sealed):
    flip(sealed.chunk)
    assert found(sealed, read_arrays=False) == {}
    os.truncate(sealed.chunk, 1)
    assert found(sealed, read_arrays=False) == {"fragments first/cube-c": {"0": "truncated"}}
    state = next(state for state in read_states(sealed.workflow) if state.instance == sealed.fragments)
    assert state.state == "stale"
    assert f"{sealed.chunk} is truncated" in state.reason


def test_an_object_that_a_job_could_not_read_is_damaged_whatever_its_digest(sealed):
    note_damage(sealed.fragments.arrays(sealed.workflow.layout)[0], ["c/1/2/0"])
    assert found(sealed) == {"fragments first/cube-c": {"0": "unreadable"}}


def test_beyond_a_size_files_with_another_time_are_read_first_and_small_texts_always(sealed, monkeypatch):
    monkeypatch.setattr(damage_module, "READ_BYTES", sealed.chunk.stat().st_size)
    flip(sealed.chunk)
    os.utime(sealed.chunk, (2**33, 2**33))
    flip(sealed.fragments.plan(sealed.workflow.layout))
    assert found(sealed) == {"fragments first/cube-c": {"0": "changed", "fragments.plan.json": "changed"}}


def test_a_stage_without_a_seal_is_counted(sealed):
    for path in seal_paths(sealed.fragments, sealed.workflow.layout):
        path.write_bytes(b"damaged")
    flip(sealed.chunk)
    report = find_damage(sealed.workflow)
    assert not report.stages
    assert str(report).endswith("; 1 stages have no record of their files")


def test_a_seal_is_renewed_if_the_job_that_broke_it_changed_nothing(sealed):
    layout = sealed.workflow.layout
    whole = read_seal(sealed.fragments, layout)
    break_seal(sealed.fragments, layout)
    # Snakemake deletes the output of a job that failed.
    plan = sealed.fragments.plan(layout)
    plan.unlink()
    assert found(sealed) == {}
    assert read_seal(sealed.fragments, layout) is None
    assert found(sealed, repair_seals=True) == {f"fragments {sealed.fragments.label}": {plan.name: "deleted"}}
    assert read_seal(sealed.fragments, layout) == whole


@pytest.mark.parametrize("change", ["a chunk", "the manifest"])
def test_a_broken_seal_of_a_stage_that_changed_is_not_renewed(sealed, change):
    layout = sealed.workflow.layout
    break_seal(sealed.fragments, layout)
    if change == "a chunk":
        flip(sealed.chunk)
    else:
        sealed.fragments.manifest(layout).unlink()
    assert found(sealed, repair_seals=True) == {}
    assert read_seal(sealed.fragments, layout) is None
    write_seal(sealed.fragments, layout)
    assert read_broken_seal(sealed.fragments, layout) is None


def test_a_record_of_a_training_without_a_copy_is_irreparable(sealed, monkeypatch):
    monkeypatch.setattr("attacca.jobs.seals._COPIED_RECORD_BYTES", 10)
    layout, train = sealed.workflow.layout, sealed.instance("train", "first")
    metrics = layout.training_files("first").metrics
    metrics.write_text("iteration\tloss\n1\t0.5\n")
    write_seal(train, layout)
    flip(metrics)
    damage = find_damage(sealed.workflow).stages[train]
    assert damage.irreparable == {metrics}
    assert not damage.needs_work
