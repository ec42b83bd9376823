"""Small damaged files are restored, and the records of all other damaged work are removed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.damage_notes import note_damage, read_damage
from attacca.atomic import write_json
from attacca.blockwise import BlockGrid
from attacca.jobs.seals import seal_paths, write_seal
from attacca.stages.train import discard_damaged_checkpoints
from attacca.workflow.damage_repair import discard_damaged_work, restore_files
from attacca.workflow.rerun_triggers import RerunTriggers

ROI = Roi((0, 0, 0), (48, 48, 48))


@pytest.fixture
def sealed(project):
    """A finished project, whose fragments of ``cube-c`` have 27 recorded blocks of 16³ and chunks of 24³ voxels."""
    project.finish(*project.workflow.instances())
    layout = project.workflow.layout
    project.fragments = project.instance("fragments", "first", "cube-c")
    project.directory = Path(project.fragments.arrays(layout)[0])
    array = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(project.directory.parent, project.directory.name),
        "zyx", ROI, None, (1, 1, 1), np.uint64, write_size=(24, 24, 24), overwrite=True,
    )  # fmt: skip
    array[ROI] = 3
    project.ledger_of_fragments = project.ledger(project.fragments)
    with project.ledger_of_fragments.shard_writer() as writer:
        writer.record(*range(27))
    for instance in project.workflow.instances():
        write_seal(instance, layout)
    return project


def test_small_files_are_restored_and_named(sealed, capsys):
    layout = sealed.workflow.layout
    paths = [layout.tuning("first"), sealed.fragments.plan(layout), sealed.directory / "zarr.json"]
    before = {path: path.read_bytes() for path in paths}
    paths[0].write_text(paths[0].read_text().replace('"inputs"', '"inputz"'))
    paths[1].unlink()
    os.truncate(paths[2], 20)
    report = restore_files(sealed.workflow)
    assert {path: path.read_bytes() for path in paths} == before
    assert not any(damage.needs_work for damage in report.stages.values())
    output = capsys.readouterr().err
    assert f"tune first: {paths[0]} is changed; 1 file restored from the copy that the stage kept" in output
    assert f"{paths[1]} is deleted" in output and f"{paths[2]} is truncated" in output
    assert restore_files(sealed.workflow).stages == {}


def test_a_deleted_manifest_and_a_damaged_chunk_are_each_named_in_one_line(sealed, capsys):
    manifest, chunk = sealed.fragments.manifest(sealed.workflow.layout), sealed.directory / "c/1/0/0"
    manifest.unlink()
    chunk.write_bytes(b"")
    report = restore_files(sealed.workflow)
    assert report.missing_manifests == {sealed.fragments: manifest}
    lines = capsys.readouterr().err.splitlines()
    assert f"fragments first/cube-c: {manifest} is missing; it is written again" in lines
    assert f"fragments first/cube-c: {chunk} is truncated; 1 file will be computed again" in lines


@pytest.mark.parametrize("damaged", [("plan",), ("mark",), ("manifest",), ("plan", "mark", "manifest")])
def test_restored_files_are_not_newer_than_files_that_were_written_after_them(sealed, damaged):
    layout = sealed.workflow.layout
    manifest, plan = sealed.fragments.manifest(layout), sealed.fragments.plan(layout)
    mark = sealed.fragments.shard(layout, 0, 1)
    mark.write_text("{}")
    files = {"plan": plan, "mark": mark, "manifest": manifest}
    for second, path in enumerate((plan, mark, manifest), start=1):
        os.utime(path, (second, second))
    write_seal(sealed.fragments, layout)
    for path in seal_paths(sealed.fragments, layout):
        os.utime(path, (4, 4))
    for name in damaged:
        files[name].write_text("damaged")
    restore_files(sealed.workflow)
    times = [path.stat().st_mtime for path in (plan, mark, manifest)]
    assert times == sorted(times) and times[-1] <= 4


def test_blocks_that_write_a_damaged_chunk_are_removed_from_the_ledger_when_jobs_start(sealed):
    (sealed.directory / "c/1/0/0").unlink()
    report = restore_files(sealed.workflow)
    assert len(sealed.ledger_of_fragments.missing()) == 0
    discard_damaged_work(sealed.workflow, report)
    # The chunk covers z 24..48 and y, x 0..24: blocks of 16 voxels with z 1..2 and y, x 0..1.
    grid = BlockGrid(ROI, (16, 16, 16), (1, 1, 1))
    expected = [block.index for block in grid if block.write_roi.intersects(Roi((24, 0, 0), (24, 24, 24)))]
    assert len(expected) == 8
    assert sealed.ledger_of_fragments.missing().tolist() == expected


def test_a_stage_with_damaged_work_is_stale_and_a_restored_one_is_not(sealed):
    def stale() -> list[str]:
        triggers = RerunTriggers(sealed.workflow, True, sealed.results.parent / "triggers")
        names = []
        for instance in sealed.workflow.instances():
            path = Path(triggers.trigger(instance.stage, instance.run, instance.volume))
            if json.loads(path.read_text())["stale"]:
                names.append(f"{instance.stage.name} {instance.label}")
        return names

    sealed.workflow.layout.tuning("first").write_text("{}")
    assert stale() == []
    (sealed.directory / "c/1/0/0").write_bytes(b"")
    assert stale() == ["fragments first/cube-c"]


def test_a_damaged_table_of_a_block_removes_that_block(sealed):
    layout = sealed.workflow.layout
    graph = sealed.instance("graph", "first", "cube-c")
    ledger = sealed.ledger(graph)
    with ledger.shard_writer() as writer:
        writer.record(*range(27))
    table = Path(layout.graph("first", "cube-c")) / "000/7.edges.npy"
    table.parent.mkdir(parents=True, exist_ok=True)
    np.save(table, np.arange(3))
    write_seal(graph, layout)
    table.unlink()
    discard_damaged_work(sealed.workflow, restore_files(sealed.workflow))
    assert ledger.missing().tolist() == [7]


def test_the_copy_of_the_manifest_of_a_damaged_table_is_removed(sealed):
    layout = sealed.workflow.layout
    agglomerate = sealed.instance("agglomerate", "first", "cube-c")
    table = layout.look_up_table("first", "cube-c")
    kept = agglomerate.manifest(layout).with_name(".look_up_table.finished.json")
    table.write_bytes(b"table")
    write_json(kept, {"key": 1})
    write_seal(agglomerate, layout)
    table.write_bytes(b"tablf")
    report = restore_files(sealed.workflow)
    assert report.stages[agglomerate].lost == [table] and kept.exists()
    discard_damaged_work(sealed.workflow, report)
    assert not kept.exists()


def test_all_files_of_a_part_of_an_agglomeration_with_a_damaged_file_are_removed(sealed):
    layout = sealed.workflow.layout
    agglomerate = sealed.instance("agglomerate", "first", "cube-c")
    directory = layout.agglomeration("first", "cube-c") / "parts-1/level-0/000000"
    directory.mkdir(parents=True)
    for name in ("0.leaf.npz", "0.moves.npy", "1.leaf.npz", "1.moves.npy"):
        (directory / name).write_bytes(b"part")
    write_seal(agglomerate, layout)
    (directory / "1.moves.npy").write_bytes(b"")
    discard_damaged_work(sealed.workflow, restore_files(sealed.workflow))
    assert sorted(path.name for path in directory.iterdir()) == ["0.leaf.npz", "0.moves.npy"]


def test_a_training_discards_a_damaged_checkpoint_and_all_later_ones(sealed):
    layout = sealed.workflow.layout
    checkpoints, train = layout.checkpoints("first"), sealed.instance("train", "first")
    for iteration in (5, 10, 15):
        (checkpoints / f"iteration_{iteration:08d}.pt").write_bytes(b"weights")
    write_seal(train, layout)
    (checkpoints / "iteration_00000010.pt").write_bytes(b"weighty")
    report = restore_files(sealed.workflow)
    assert report.stages[train].needs_work
    discard_damaged_work(sealed.workflow, report)
    recovery = layout.training_files("first").recovery
    recovery.write_bytes(b"after them")
    discard_damaged_checkpoints(checkpoints)
    assert not recovery.exists()
    assert [path.name for path in checkpoints.glob("*.pt")] == ["iteration_00000005.pt"]
    assert read_damage(str(checkpoints)) == []


def test_an_unreadable_object_without_digest_removes_its_blocks(sealed):
    note_damage(str(sealed.directory), ["c/1/1/1"])
    discard_damaged_work(sealed.workflow, restore_files(sealed.workflow))
    assert len(sealed.ledger_of_fragments.missing()) == 8
