"""Digests of arrays and directories: equal for equal content, independent of other files beside it."""

import shutil
import time
import tracemalloc
from hashlib import sha256

import numpy as np
import zarr

from attacca.fingerprint import digest
from attacca.provenance import content_digest
from attacca.provenance.content_digest import digest_content


def write_array(path, seed=0):
    array = zarr.create_array(path, shape=(40, 40), chunks=(10, 10), dtype=np.uint8)
    array[:] = np.random.default_rng(seed).integers(0, 255, (40, 40))
    return array


def test_equal_arrays_have_equal_digests_and_other_values_another(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_array(tmp_path / name, seed)
    a, b, c = (digest_content(tmp_path / name) for name in "abc")
    assert a == b
    assert a.digest != c.digest
    assert (a.files, a.sample) == (17, 1)


def test_one_changed_voxel_is_seen_and_the_number_of_threads_is_not(tmp_path):
    array = write_array(tmp_path / "a")
    before = digest_content(tmp_path / "a", threads=1)
    assert digest_content(tmp_path / "a", threads=8) == before
    array[3, 3] = array[3, 3] + 1
    assert digest_content(tmp_path / "a").digest != before.digest


def test_a_missing_chunk_is_seen(tmp_path):
    write_array(tmp_path / "a")
    before = digest_content(tmp_path / "a")
    (tmp_path / "a/c/2/3").unlink()
    assert digest_content(tmp_path / "a").digest != before.digest


def test_ledgers_and_other_hidden_files_do_not_count(tmp_path):
    write_array(tmp_path / "a")
    before = digest_content(tmp_path / "a")
    ledger = tmp_path / "a" / ".attacca" / "ledger"
    ledger.mkdir(parents=True)
    (ledger / "shard-00000-of-00001.txt").write_text("1\n")
    (tmp_path / "a" / ".zattrs").write_text("{}")
    assert digest_content(tmp_path / "a") == before


def test_a_table_of_numpy_is_digested_by_its_members_not_by_the_time_of_writing(tmp_path):
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, x=np.arange(5))
        time.sleep(2.1 if name == "a.npz" else 0)
    assert digest_content(tmp_path / "a.npz").digest == digest_content(tmp_path / "b.npz").digest
    np.savez(tmp_path / "b.npz", x=np.arange(6))
    assert digest_content(tmp_path / "a.npz").digest != digest_content(tmp_path / "b.npz").digest


def test_large_arrays_are_sampled_equally_and_their_names_and_sizes_count_in_full(tmp_path):
    write_array(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    a, b = (digest_content(tmp_path / name, whole_bytes=400) for name in "ab")
    assert a == b
    assert a.sample > 1
    (tmp_path / "b/c/0/0").unlink()
    assert digest_content(tmp_path / "b", whole_bytes=400).digest != a.digest


def test_the_digest_is_that_of_all_names_sizes_and_hashes_in_the_order_of_names(tmp_path):
    for name in (
        "a/1",
        "a/10",
        "a.b",
        "a0",
        "a/b/c",
        "b",
        "ä/\N{SNOWMAN}",
        'q"uote\n',
        ".zarray",
        ".hidden/x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name * 3)
    files = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.parent.name != ".hidden"
    }
    entries = [[name, len(data), sha256(data).hexdigest()] for name, data in sorted(files.items())]
    assert len(entries) == 9
    assert digest_content(tmp_path).digest == digest(entries)


def test_a_file_costs_some_ten_bytes_of_memory(tmp_path):
    for directory in range(10):
        (tmp_path / str(directory)).mkdir()
        for name in range(1000):
            (tmp_path / str(directory) / str(name)).touch()
    digest_content(tmp_path)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    listing = content_digest._FileList(content_digest._list_local_files(tmp_path))
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(listing) == 10_000
    assert held < 30 * len(listing)


def test_a_missing_path_has_no_digest(tmp_path):
    assert digest_content(tmp_path / "nothing").to_json() == {
        "digest": "",
        "files": 0,
        "bytes": 0,
        "sample": 1,
    }


def test_only_named_files_are_digested_not_those_beside_them(tmp_path):
    array = write_array(tmp_path / "a")
    names = {"zarr.json", "c/0/0", "c/1/2", "c/9/9"}
    before = digest_content(tmp_path / "a", names=names)
    assert before.files == 3
    array[35, 35] = array[35, 35] + 1
    assert digest_content(tmp_path / "a", names=names) == before
    array[0, 0] = array[0, 0] + 1
    assert digest_content(tmp_path / "a", names=names) != before
