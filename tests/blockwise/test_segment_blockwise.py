"""Segmentation of a volume by a user's function."""

import subprocess
import sys
from pathlib import Path

import cc3d
import numpy as np
import pytest
import scipy.ndimage
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import segment_blockwise
from attacca.errors import BlocksFailedError, ConfigurationError, MissingInputError

COMPONENTS = """
import cc3d
import numpy as np
default_parameters = {"threshold": 100}
def segment_function(input_array, block, threshold):
    return cc3d.connected_components(input_array[block.read_roi] > threshold, connectivity=6)
"""


@pytest.fixture
def volume(tmp_path):
    """``volume(shape, voxel, offset)``: blobs, some of them larger than a block."""

    def make(shape=(20, 14, 9), voxel=(2, 2, 2), offset=(10, -8, 0)) -> ZarrArray:
        axes = ["z", "y", "x"][-len(shape) :]
        array = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(tmp_path / "v.zarr", "in"),
            axes,
            Roi(offset, Coordinate(shape) * Coordinate(voxel)),
            None,
            voxel,
            np.uint8,
        )
        noise = scipy.ndimage.gaussian_filter(np.random.default_rng(2).random(shape), 1.5)
        array[array.roi] = np.where(noise > np.quantile(noise, 0.75), 200, 0)
        return array

    return make


def segment(array: ZarrArray, text: str, block: int = 8, context: int = 3, name: str = "out", **options):
    """Run the function whose file contains ``text``, and return the stored segments."""
    folder = Path(array.file_name).parent
    file = folder / f"{name}.py"
    file.write_text(text)
    size = array.voxel_size
    write = Roi(array.roi.begin, size * block)
    around = size * context
    arguments = {"num_workers": 1, "max_retries": 0, **options}
    assert segment_blockwise(
        file,
        around,
        array.roi,
        write.grow(around, around),
        write,
        input_array_identifier=LocalArrayIdentifier(array.file_name, array.dataset),
        output_array_identifier=LocalArrayIdentifier(folder / "v.zarr", name),
        **arguments,
    )
    return ZarrArray.open_from_array_identifier(LocalArrayIdentifier(folder / "v.zarr", name)).data[:]


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(np.unique(a)) == len(np.unique(b)) == pairs.shape[1] and bool(((a > 0) == (b > 0)).all())


@pytest.mark.parametrize(
    ("shape", "voxel", "offset"),
    [
        ((37, 29, 23), (2, 2, 2), (10, -8, 0)),
        ((17, 17, 17), (1, 1, 1), (0, 0, 0)),
        ((5, 40, 40), (40, 4, 4), (400, 40, 4)),
        ((6, 7, 5), (4, 4, 4), (0, 0, 0)),
        ((61, 45), (4, 4), (0, -40)),
    ],
)
def test_components_of_blocks_are_joined_to_those_of_the_whole(volume, shape, voxel, offset):
    array = volume(shape, voxel, offset)
    result = segment(array, COMPONENTS)
    assert result.dtype == np.uint64
    whole = cc3d.connected_components(array.data[:] > 100, connectivity=6 if len(shape) == 3 else 4)
    assert same_partition(result, whole)


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(volume):
    array = volume((24, 16, 16), (1, 1, 1), (0, 0, 0))
    assert np.array_equal(segment(array, COMPONENTS), segment(array, COMPONENTS, name="two", num_workers=2))


def test_without_context_nothing_is_joined_and_no_id_is_used_twice(volume):
    array = volume()
    result = segment(array, COMPONENTS, context=0)
    for index in np.ndindex(3, 2, 2):
        part = result[tuple(slice(8 * i, 8 * i + 8) for i in index)]
        result[tuple(slice(8 * i, 8 * i + 8) for i in index)] = 0
        assert not np.isin(part[part > 0], result).any()


def test_parameters_reach_the_function(volume):
    array = volume()
    assert segment(array, COMPONENTS, parameters={"threshold": 201}).max() == 0


def test_a_pair_of_worker_functions_gives_the_same_segments(volume):
    array = volume()
    text = """
import cc3d
from attacca.arrays import ZarrArray
def spawn_worker(*args, **kwargs):
    return ZarrArray.open_from_array_identifier(kwargs["input_array_identifier"]), kwargs["level"]
def start_worker(worker, block):
    array, level = worker
    return cc3d.connected_components(array[block.read_roi] > level, connectivity=6)
"""
    assert np.array_equal(segment(array, text, name="pair", level=100), segment(array, COMPONENTS))


def test_blocks_that_the_check_rejects_are_retried(volume, tmp_path):
    text = (
        COMPONENTS
        + f"""
from pathlib import Path
COUNT = Path({str(tmp_path)!r})
def init_callback_fn(context):
    (COUNT / "init").write_text(str(sorted(context)))
def check_function(block):
    mark = COUNT / f"checked-{{block.block_id[1]}}"
    if block.index == 3 and not mark.exists():
        mark.touch()
        return False
    return True
"""
    )
    array = volume()
    checked = segment(array, text, name="checked", max_retries=1)
    assert np.array_equal(checked, segment(array, COMPONENTS))
    assert (tmp_path / "checked-3").exists()
    assert "input_array_identifier" in (tmp_path / "init").read_text()
    with pytest.raises(BlocksFailedError, match="check_function refused block 0"):
        segment(array, COMPONENTS + "\ndef check_function(block):\n    return False\n", name="refused")


def test_after_a_failure_the_next_call_computes_only_missing_blocks(volume, tmp_path):
    array = volume()
    text = COMPONENTS.replace(
        "    return",
        f"    import pathlib\n    seen = pathlib.Path({str(tmp_path)!r}, 'seen')\n"
        "    with open(seen, 'a') as file:\n        file.write(f'{block.index} ')\n"
        f"    if block.index == 7 and not pathlib.Path({str(tmp_path)!r}, 'go').exists():\n"
        "        raise ValueError('not yet')\n    return",
    )
    with pytest.raises(BlocksFailedError, match=r"block 7, .*not yet"):
        segment(array, text)
    first = (tmp_path / "seen").read_text().split()
    (tmp_path / "go").touch()
    (tmp_path / "seen").unlink()
    result = segment(array, text)
    assert (tmp_path / "seen").read_text().split() == ["7"]
    assert sorted(map(int, first)) == list(range(12))
    assert np.array_equal(result, segment(array, COMPONENTS, name="other"))


def test_a_call_after_a_finished_one_recomputes_everything(volume):
    array = volume()
    segment(array, COMPONENTS, keep_tmpdir=True)
    array[array.roi] = 255
    assert len(np.unique(segment(array, COMPONENTS))) == 1
    array[array.roi] = 0
    assert segment(array, COMPONENTS).max() == 0


def test_the_scratch_directory_is_kept_on_request(volume, tmp_path):
    array = volume()
    segment(array, COMPONENTS, tmpdir=tmp_path / "scratch")
    assert not list((tmp_path / "scratch").iterdir())
    segment(array, COMPONENTS, tmpdir=tmp_path / "scratch", keep_tmpdir=True)
    assert list((tmp_path / "scratch").iterdir())


def test_upstream_tasks_run_first_and_stop_the_call_if_they_fail(volume):
    array, calls = volume(), []
    segment(array, COMPONENTS, upstream_tasks=[lambda: calls.append(1), lambda: calls.append(2)])
    segment(array, COMPONENTS, upstream_tasks=[])
    assert calls == [1, 2]
    with pytest.raises(BlocksFailedError, match="upstream task"):
        segment(array, COMPONENTS, upstream_tasks=[lambda: False])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("x = 1", ConfigurationError, "defines neither segment_function"),
        ("import nonexistent_module", ConfigurationError, "cannot be imported: ModuleNotFoundError"),
        (
            "def segment_function(a, b):\n    return a[b.write_roi]",
            BlocksFailedError,
            "expected integers of shape",
        ),
        ("def segment_function(a, b):\n    return a[b.read_roi] / 2", BlocksFailedError, "type float64"),
    ],
)
def test_invalid_files_are_refused(volume, text, error, message):
    with pytest.raises(error, match=message):
        segment(volume(), text)


def test_a_region_beyond_the_input_is_refused_before_anything_is_computed(volume, tmp_path):
    array = volume()
    beyond = array.roi.grow((2, 0, 0), (0, 0, 0))
    source = LocalArrayIdentifier(array.file_name, array.dataset)
    (tmp_path / "f.py").write_text(COMPONENTS)
    target = LocalArrayIdentifier(tmp_path / "v.zarr", "beyond")
    block = Roi(array.roi.begin, (16, 16, 16))
    arguments = {"input_array_identifier": source, "output_array_identifier": target}
    with pytest.raises(ConfigurationError, match=r"total_roi: found .* but the input .* covers .* only"):
        segment_blockwise(tmp_path / "f.py", 4, beyond, block, block, 1, **arguments)
    assert not Path(str(target)).exists()
    assert segment_blockwise(tmp_path / "f.py", 4, block, block, block, 1, **arguments)
    with pytest.raises(ConfigurationError, match=r"but the existing output .* covers"):
        segment_blockwise(tmp_path / "f.py", 4, array.roi, block, block, 1, **arguments)


@pytest.mark.slow
def test_a_script_needs_no_main_guard(volume, tmp_path):
    array = volume()
    expected = segment(array, COMPONENTS)
    (tmp_path / "f.py").write_text(COMPONENTS)
    (tmp_path / "script.py").write_text(
        f"""
from funlib.geometry import Roi
from attacca.arrays import LocalArrayIdentifier
from attacca.blockwise import segment_blockwise
print("the script runs")
roi = Roi({tuple(array.roi.begin)}, {tuple(array.roi.shape)})
write = Roi(roi.begin, (16, 16, 16))
segment_blockwise(
    "f.py", (6, 6, 6), roi, write.grow((6, 6, 6), (6, 6, 6)), write, 2, 0,
    input_array_identifier=LocalArrayIdentifier("v.zarr", "in"),
    output_array_identifier=LocalArrayIdentifier("v.zarr", "script"),
)
"""
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n") == ["the script runs", ""]
    found = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "v.zarr", "script"))
    assert np.array_equal(found.data[:], expected)


def test_missing_files_and_arguments_are_reported(volume, tmp_path):
    array = volume()
    roi = array.roi
    with pytest.raises(ConfigurationError, match="needs the keyword argument input_array_identifier"):
        segment_blockwise(tmp_path / "f.py", Coordinate(0, 0, 0), roi, roi, roi)
    identifier = LocalArrayIdentifier(array.file_name, array.dataset)
    with pytest.raises(MissingInputError, match=r"f\.py: no such file"):
        segment_blockwise(
            tmp_path / "f.py",
            Coordinate(0, 0, 0),
            roi,
            roi,
            roi,
            input_array_identifier=identifier,
            output_array_identifier=identifier,
        )
