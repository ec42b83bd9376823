"""Records of all files of a finished stage."""

import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.damage_notes import note_damage, read_damage
from attacca.fingerprint import digest_file
from attacca.jobs import seals
from attacca.jobs.seals import break_seal, locate_file, name_file, read_seal, seal_paths, write_seal
from attacca.jobs.stage import StageInstance
from attacca.layout import Layout
from attacca.stages.predict import PREDICT
from attacca.stages.train import TRAIN

PREDICTION = StageInstance(PREDICT, "first", "cube")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Results with a prediction of 8 chunks, its plan, the file of a shard and its manifest."""
    layout = Layout(tmp_path / "results")
    write_prediction(layout)
    return layout


def write_prediction(layout: Layout) -> None:
    roi = Roi((0, 0, 0), (16, 16, 16))
    container, name = layout.run_container("first", "cube"), "prediction/s0"
    array = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(Path(container), name),
        "zyx",
        roi,
        None,
        (1, 1, 1),
        np.uint8,
        write_size=(8, 8, 8),
    )
    array[roi] = np.random.default_rng(0).integers(0, 255, (16, 16, 16), np.uint8)
    ledger = Path(container, name, ".attacca/ledger")
    ledger.mkdir(parents=True)
    (ledger / "shard-00000-of-00001.txt").write_text("{}\n")
    manifest = PREDICTION.manifest(layout)
    manifest.parent.mkdir(parents=True)
    for path in (manifest, PREDICTION.plan(layout), PREDICTION.shard(layout, 0, 1)):
        path.write_text('{"seed": 1}')


def test_a_seal_holds_sizes_and_digests_of_all_files_but_ledgers_and_copies_of_small_texts(layout):
    write_seal(PREDICTION, layout)
    seal = read_seal(PREDICTION, layout)
    chunks = {f"first/cube.zarr/prediction/s0/c/{z}/{y}/{x}" for z in (0, 1) for y in (0, 1) for x in (0, 1)}
    texts = {f"first/cube/prediction{end}" for end in (".json", ".plan.json", ".shard-0-of-1.json")}
    texts |= {f"first/cube.zarr/prediction/{group}zarr.json" for group in ("", "s0/")}
    assert seal.files.keys() == chunks | texts
    assert seal.copies.keys() == texts
    for name, sealed in seal.files.items():
        path = locate_file(name, layout)
        assert (sealed.size, sealed.digest) == (path.stat().st_size, digest_file(path))
        assert name_file(path, layout) == name
    assert seal.copies["first/cube/prediction.json"] == b'{"seed": 1}'


def test_equal_files_have_equal_seals_wherever_and_whenever_they_were_written(layout, tmp_path):
    write_seal(PREDICTION, layout)
    copied = Layout(tmp_path / "copy")
    shutil.copytree(layout.results, copied.results, copy_function=shutil.copyfile)
    first = seal_paths(PREDICTION, layout)[0].read_bytes()
    break_seal(PREDICTION, copied)
    write_seal(PREDICTION, copied)
    paths = seal_paths(PREDICTION, copied)
    assert all(path.is_relative_to(copied.results) for path in paths)
    assert [path.read_bytes() for path in paths] == [first, first]


def test_arrays_that_are_stored_elsewhere_are_sealed_too(tmp_path):
    layout = Layout(tmp_path / "results", str(tmp_path / "arrays"))
    write_prediction(layout)
    write_seal(PREDICTION, layout)
    name = "storage:first/cube.zarr/prediction/s0/c/0/0/0"
    assert name in read_seal(PREDICTION, layout).files
    assert locate_file(name, layout) == tmp_path / "arrays/first/cube.zarr/prediction/s0/c/0/0/0"


def test_any_flipped_bit_of_one_archive_is_noticed_and_the_other_archive_is_used(layout):
    write_seal(PREDICTION, layout)
    whole = read_seal(PREDICTION, layout)
    first, second = seal_paths(PREDICTION, layout)
    content, draws = first.read_bytes(), random.Random(3)
    assert content == second.read_bytes()
    for _ in range(300):
        flipped = bytearray(content)
        flipped[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        first.write_bytes(flipped)
        assert read_seal(PREDICTION, layout) == whole
    first.write_bytes(content[: len(content) // 2])
    assert read_seal(PREDICTION, layout, repair=True) == whole
    assert first.read_bytes() == content
    second.unlink()
    first.write_bytes(b"")
    assert read_seal(PREDICTION, layout) is None


def test_a_broken_seal_is_gone_with_the_notes_of_damaged_objects(layout):
    write_seal(PREDICTION, layout)
    directory = PREDICTION.arrays(layout)[0]
    note_damage(directory, ["c/0/0/0"])
    break_seal(PREDICTION, layout)
    assert read_seal(PREDICTION, layout) is None
    assert not any(path.exists() for path in seal_paths(PREDICTION, layout))
    assert read_damage(directory) == []


def test_above_a_size_a_sample_of_the_files_has_digests_and_all_have_sizes(layout, monkeypatch):
    write_seal(PREDICTION, layout)
    total = sum(file.size for file in read_seal(PREDICTION, layout).files.values())
    monkeypatch.setattr(seals, "WHOLE_BYTES", total // 3 + 1)
    write_seal(PREDICTION, layout)
    files = read_seal(PREDICTION, layout).files
    with_digest = [name for name, file in files.items() if "/c/" in name and file.digest]
    assert 0 < len(with_digest) < 8
    assert all(file.size for file in files.values())


def test_curves_of_a_training_are_copied_and_its_weights_are_not(tmp_path):
    layout = Layout(tmp_path / "results")
    training = StageInstance(TRAIN, "first")
    files = layout.training_files("first")
    files.checkpoints.mkdir(parents=True)
    files.metrics.write_text("iteration\tloss\n" * 100_000)
    (files.checkpoints / "iteration_00000010.pt").write_bytes(b"weights")
    training.manifest(layout).write_text("{}")
    write_seal(training, layout)
    assert files.metrics.stat().st_size > 1 << 20
    assert read_seal(training, layout).copies.keys() == {"first/training.json", "first/training/metrics.tsv"}
    with zipfile.ZipFile(seal_paths(training, layout)[0]) as archive:
        assert archive.testzip() is None
