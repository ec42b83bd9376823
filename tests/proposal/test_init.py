"""``attacca init``: the proposed configuration fits the data, passes the check, and explains its choices."""

import json

import h5py
import numpy as np
import pytest
import tifffile
import yaml

from attacca.cli.main import main
from attacca.config.load import load_configuration
from attacca.proposal.pairing import pair_data
from proposed_data import make_nuclei, write_hdf5, write_tiff


def make_columns(shape, width):
    """Ids of square columns along z that fill a volume, and an image with dark boundaries."""
    z, y, x = np.indices(shape)
    labels = (1 + (y // width) * 100 + x // width).astype(np.uint32)
    raw = np.where((y % width < 2) | (x % width < 2), 60, 190).astype(np.uint8)
    return raw + (z % 7).astype(np.uint8), labels


def propose(*arguments, out="config.yaml"):
    assert main(["init", *map(str, arguments), "--out", str(out)]) == 0
    return next(iter(load_configuration(out).runs.values())), load_configuration(out)


@pytest.fixture(autouse=True)
def in_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_dense_isotropic_ids_get_affinities_with_offsets_by_their_width(tmp_path):
    write_hdf5(tmp_path / "cube.h5", *make_columns((48, 60, 60), 10), (8, 8, 8))
    run, configuration = propose("cube.h5")
    assert run.task.type == "affinities" and not run.task.lsds
    steps = sorted({max(map(abs, offset)) for offset in run.task.neighborhood})
    assert steps[0] == 1 and 5 <= steps[-1] <= 10
    assert run.architecture.downsample_factors == ((2, 2, 2), (2, 2, 2))
    assert (run.architecture.normalization, run.training.optimizer.type) == ("batch", "muon")
    assert run.segmentation.objects == "auto" and run.evaluation.criterion is None
    assert configuration.volumes["cube-train"].raw.dataset == "volumes/raw"
    assert configuration.volumes["cube-train"].labels.dataset == "volumes/labels/neuron_ids"


def test_anisotropic_sections_are_kept_until_voxels_are_about_cubic(tmp_path):
    raw, labels = make_columns((24, 96, 96), 12)
    image, ids = (
        write_tiff(tmp_path / "a.tif", raw, (40, 8, 8)),
        write_tiff(tmp_path / "b.tif", labels, (40, 8, 8)),
    )
    run, _ = propose(f"{image}:{ids}")
    assert run.architecture.downsample_factors[0] == (1, 2, 2)
    assert run.architecture.kernel_sizes[0] == (1, 3, 3) and run.architecture.kernel_sizes[-1] == (3, 3, 3)
    z, y, _ = run.architecture.input_shape
    assert 2.5 <= y / z <= 10
    assert run.training.augmentation.intensity.per_section
    longest = [max(abs(offset[axis]) for offset in run.task.neighborhood) for axis in range(3)]
    assert longest[0] < longest[1] == longest[2]


def test_sparse_ids_get_a_criterion_that_counts_objects_in_the_background(tmp_path, capsys):
    raw, labels = make_nuclei((64, 64, 64), (6, 6, 6), 40)
    write_hdf5(tmp_path / "nuclei.h5", raw, labels, (100, 100, 100))
    run, _ = propose("nuclei.h5")
    assert run.task.type == "affinities"
    assert run.evaluation.criterion == "average_precision"
    assert run.architecture.normalization == "batch"
    assert run.segmentation.objects == "sparse"
    assert all(settings.background_below >= 0.5 for settings in run.segmentation.fragment_candidates())
    assert "--unlabelled 0" in capsys.readouterr().out


def test_one_value_in_separate_objects_gets_distances(tmp_path):
    raw, labels = make_nuclei((64, 64, 64), (6, 6, 6), 40)
    write_hdf5(tmp_path / "nuclei.h5", raw, (labels > 0).astype(np.uint8), (100, 100, 100))
    run, _ = propose("nuclei.h5", "--classes", "nucleus")
    assert run.task.type == "distance" and run.task.channels == ["nucleus"]
    assert 100 <= run.task.scale_factor <= 1200


def test_thin_boundaries_in_an_image_get_classes_and_a_2d_network(tmp_path):
    y, x = np.indices((128, 128))
    boundary = (y % 16 < 2) | (x % 16 < 2)
    image = write_tiff(tmp_path / "em_raw.tif", np.where(boundary, 60, 190).astype(np.uint8), (4, 4))
    labels = write_tiff(tmp_path / "em_labels.tif", np.where(boundary, 0, 255).astype(np.uint8), (4, 4))
    run, configuration = propose(f"{image}:{labels}", "--classes", "membrane,cell")
    assert run.task.type == "one_hot" and run.task.classes == ["membrane", "cell"]
    assert len(run.architecture.input_shape) == 2
    # 23 % of the pixels are boundary: both classes are learned without balanced weights.
    assert not run.task.balance_classes
    assert (run.architecture.normalization, run.training.optimizer.type) == ("batch", "muon")
    # 255 is not the number of a class.
    assert next(iter(configuration.volumes.values())).labels.classes[0].values == [255]


def test_rare_boundaries_get_balanced_loss_weights(tmp_path):
    y, x = np.indices((512, 512))
    boundary = (y % 256 == 100) | (x % 256 == 100)
    image = write_tiff(tmp_path / "em_raw.tif", np.where(boundary, 60, 190).astype(np.uint8), (4, 4))
    labels = write_tiff(tmp_path / "em_labels.tif", boundary.astype(np.uint8), (4, 4))
    run, _ = propose(f"{image}:{labels}")
    assert run.task.type == "one_hot" and run.task.balance_classes


def test_boundaries_in_thick_sections_get_a_2d_network_on_the_stack(tmp_path):
    _, y, x = np.indices((12, 96, 96))
    boundary = (y % 16 < 2) | (x % 16 < 2)
    image = write_tiff(tmp_path / "raw.tif", np.where(boundary, 60, 190).astype(np.uint8), (50, 4, 4))
    labels = write_tiff(tmp_path / "labels.tif", boundary.astype(np.uint8), (50, 4, 4))
    run, _ = propose(f"{image}:{labels}")
    assert run.architecture.input_shape[0] == 1
    assert all(kernel[0] == 1 for kernel in run.architecture.kernel_sizes)
    assert run.task.kernel_size == 1


def test_values_with_many_pieces_are_classes_and_the_user_can_state_the_contrary(tmp_path):
    labels = np.zeros((48, 48, 48), np.uint8)
    labels[4::12, 4::12, 4::12] = 1
    labels[10::12, 10::12, 10::12] = 2
    labels = np.maximum(labels, np.roll(labels, 1, 0))
    write_hdf5(tmp_path / "a.h5", np.full(labels.shape, 100, np.uint8) + labels * 50, labels, (20, 20, 20))
    run, _ = propose("a.h5", "--classes", "none,er,golgi")
    assert run.task.type == "one_hot" and run.task.classes == ["none", "er", "golgi"]
    # Either class has 0.1 % of the voxels.
    assert run.task.balance_classes
    run, _ = propose("a.h5", "--labels", "instances", out="other.yaml")
    assert run.task.type == "affinities"


def test_names_pair_images_and_labels_of_a_directory(tmp_path):
    raw, labels = make_columns((24, 48, 48), 12)
    (tmp_path / "data").mkdir()
    for name in ("one", "two", "three"):
        write_tiff(tmp_path / "data" / f"{name}_raw.tif", raw, (10, 10, 10))
        write_tiff(tmp_path / "data" / f"{name}_labels.tif", labels, (10, 10, 10))
    write_tiff(tmp_path / "data" / "whole_raw.tif", raw, (10, 10, 10))
    run, configuration = propose("data")
    assert set(configuration.volumes) == {"one", "two", "three", "whole"}
    assert all(
        volume.labels.path.name == f"{name}_labels.tif"
        for name, volume in configuration.volumes.items()
        if name != "whole"
    )
    assert len(run.volumes.train) == 1 and len(run.volumes.validation) == 1 and "whole" in run.volumes.test


def test_boxes_of_a_single_volume_share_no_voxel_and_cover_its_labels(tmp_path):
    write_hdf5(tmp_path / "cube.h5", *make_columns((48, 60, 60), 10), (8, 8, 8))
    _, configuration = propose("cube.h5")
    boxes = [(volume.roi.offset, volume.roi.shape) for volume in configuration.volumes.values()]
    assert len(boxes) == 3
    covered = np.zeros((48, 60, 60), int)
    for offset, shape in boxes:
        begin = [int(o) // 8 for o in offset]
        covered[tuple(slice(b, b + int(s) // 8) for b, s in zip(begin, shape))] += 1
    assert (covered == 1).all()


def test_each_choice_has_a_reason_above_it(tmp_path):
    write_hdf5(tmp_path / "cube.h5", *make_columns((48, 60, 60), 10), (8, 8, 8))
    propose("cube.h5")
    lines = (tmp_path / "config.yaml").read_text().splitlines()
    keys = ("type:", "neighborhood:", "input_shape:", "iterations:", "train:", "batch_size:")
    for key in keys:
        above = next(lines[number - 1] for number, line in enumerate(lines) if line.strip().startswith(key))
        assert above.strip().startswith("# "), key
    yaml.safe_load("\n".join(lines))


def test_iterations_follow_the_time_that_the_user_has(tmp_path):
    write_hdf5(tmp_path / "cube.h5", *make_columns((48, 60, 60), 10), (8, 8, 8))
    short, _ = propose("cube.h5", "--minutes", "5", out="short.yaml")
    long, _ = propose("cube.h5", "--minutes", "20", out="long.yaml")
    assert long.training.iterations == pytest.approx(4 * short.training.iterations, abs=400)


def test_an_existing_file_is_not_replaced(tmp_path, capsys):
    write_hdf5(tmp_path / "cube.h5", *make_columns((48, 60, 60), 10), (8, 8, 8))
    (tmp_path / "config.yaml").write_text("mine")
    assert main(["init", "cube.h5"]) == 2
    assert "exists" in capsys.readouterr().err and (tmp_path / "config.yaml").read_text() == "mine"


def test_a_missing_voxel_size_names_the_option_that_states_it(tmp_path, capsys):
    raw, labels = make_columns((48, 60, 60), 10)
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        file["raw"], file["labels"] = raw, labels
    assert main(["init", "cube.h5"]) == 2
    assert "--voxel-size" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.yaml")) and not list(tmp_path.glob(".config*"))
    _, configuration = propose("cube.h5", "--voxel-size", "50,4.6,4.6")
    volume = configuration.volumes["cube-train"]
    assert (volume.voxel_size, volume.unit) == ([500, 46, 46], "angstrom")


def test_a_voxel_size_that_all_files_lack_is_one_line(tmp_path, capsys):
    raw, labels = make_columns((16, 48, 48), 12)
    for name in ("one", "two", "three", "four", "five"):
        for kind, values in (("raw", raw), ("labels", labels)):
            tifffile.imwrite(tmp_path / f"{name}_{kind}.tif", values)
    assert main(["init", "."]) == 2
    (_, line) = capsys.readouterr().err.splitlines()
    assert (
        "five_raw.tif, four_raw.tif, one_raw.tif, three_raw.tif and 1 more: the file has no voxel size"
        in line
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("fish/raw.ome.zarr", "fish"),
        ("fish/vol.n5/data", "fish"),
        ("fish.zarr/s0", "fish"),
        ("fish.n5/volumes/raw/0", "fish"),
        ("fish.zarr/crop2/raw", "crop-2"),
        ("s3://lab/fish.zarr/raw", "fish"),
        ("my fish 1_raw.tif", "my-fish-1"),
        ("Äsche_raw.tif", "aesche"),
        ("data/raw.tif", "data"),
    ],
)
def test_the_name_of_a_single_volume_is_that_of_its_file_or_directory(tmp_path, path, name):
    if "://" not in path:
        (tmp_path / path).mkdir(parents=True)
    assert [pair.name for pair in pair_data([f"{path}:labels.tif"])] == [name]


def test_umlauts_are_two_letters_and_a_short_name_keeps_the_word_before_it():
    pairs = pair_data(
        ["d/cube1_raw.tif:d/l1.tif", "d/stack_raw A\u0308.tif:d/l2.tif", "d/Größe_raw.tif:d/l3.tif"]
    )
    assert [pair.name for pair in pairs] == ["cube-1", "stack-ae", "groesse"]


def test_suffixes_of_containers_are_not_parts_of_names():
    pairs = pair_data(["a.n5/data:a.n5/labels", "b.ome.zarr/0:b.ome.zarr/labels", "a/b.zarr:a/c.zarr"])
    assert [pair.name for pair in pairs] == ["a", "b-0", "a-b"]


def test_twelve_bits_in_sixteen_get_the_range_of_the_data(tmp_path):
    raw, labels = make_columns((48, 60, 60), 10)
    write_hdf5(tmp_path / "cube.h5", raw.astype(np.uint16) * 16, labels, (8, 8, 8))
    run, _ = propose("cube.h5")
    low, high = run.training.intensity
    assert 900 <= low <= 1100 and 2900 <= high <= 3300


def test_images_of_different_contrast_get_percentiles_of_each(tmp_path):
    raw, labels = make_columns((24, 48, 48), 12)
    write_hdf5(tmp_path / "dark.h5", raw // 2, labels, (8, 8, 8))
    write_hdf5(tmp_path / "bright.h5", raw, labels, (8, 8, 8))
    run, _ = propose("dark.h5", "bright.h5")
    assert run.training.intensity.percentiles == (0.5, 99.5)


@pytest.mark.parametrize("options", [(), ("--unlabelled", "0")])
def test_voxels_of_value_0_between_dense_objects_are_asked_about_unless_they_are_stated(
    tmp_path, capsys, options
):
    raw, labels = make_columns((48, 60, 60), 10)
    labels[:, :15] = 0
    write_hdf5(tmp_path / "cube.h5", raw, labels, (8, 8, 8))
    run, configuration = propose("cube.h5", *options)
    assert run.task.type == "affinities" and run.segmentation.objects != "sparse"
    assert configuration.volumes["cube-train"].labels.unlabelled == (0 if options else None)
    printed = " ".join(capsys.readouterr().out.split())
    share = round(100 * (labels == 0).mean())
    assert (f"{share} % of the labels are 0, which is taken as background" in printed) == (not options)
    assert (f"{share} % are 0, not annotated" if options else f"{share} % are 0; ") in printed


def test_empty_sections_between_full_ones_are_pointed_out(tmp_path, capsys):
    raw, labels = make_columns((24, 96, 96), 12)
    labels[1::3] = labels[2::3] = 0
    write_hdf5(tmp_path / "cube.h5", raw, labels, (40, 8, 8))
    propose("cube.h5")
    out = capsys.readouterr().out
    assert "please confirm: 16 sections of cube hold only 0 between sections that are mostly full" in out
    assert "repeat with --unlabelled 0" in out


def test_the_largest_number_of_64_bits_is_a_voxel_without_annotation(tmp_path):
    raw, labels = make_columns((48, 60, 60), 10)
    labels = labels.astype(np.uint64)
    labels[:, :10] = 2**64 - 1
    write_hdf5(tmp_path / "cube.h5", raw, labels, (8, 8, 8))
    _, configuration = propose("cube.h5")
    assert configuration.volumes["cube-train"].labels.unlabelled == 2**64 - 1


def test_similar_voxel_sizes_get_a_tolerance_and_others_are_refused(tmp_path, capsys):
    raw, labels = make_columns((24, 48, 48), 12)
    for name, size in (("one", (50, 4, 4)), ("two", (45, 4, 4)), ("far", (25, 4, 4))):
        write_hdf5(tmp_path / f"{name}.h5", raw, labels, size)
    run, _ = propose("one.h5", "two.h5")
    assert run.training.voxel_size_tolerance == pytest.approx(0.1)
    assert main(["init", "one.h5", "far.h5", "--out", "other.yaml"]) == 2
    assert "different voxel sizes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.tif"], "no such file"),
        (["raw.tif"], "found no labels"),
        (["empty.tif:empty_labels.tif"], "no object"),
        (["raw.tif:labels.tif", "--classes", "a,b,c"], "expected"),
        (["columns.h5", "--classes", "a,b"], "one id per object"),
    ],
)
def test_what_cannot_be_decided_is_one_message_with_a_fix(tmp_path, capsys, arguments, message):
    raw, labels = make_columns((16, 48, 48), 12)
    write_tiff(tmp_path / "raw.tif", raw, (8, 8, 8))
    write_tiff(tmp_path / "labels.tif", (labels % 2).astype(np.uint8), (8, 8, 8))
    write_tiff(tmp_path / "empty.tif", raw, (8, 8, 8))
    write_hdf5(tmp_path / "columns.h5", raw, labels, (8, 8, 8))
    write_tiff(tmp_path / "empty_labels.tif", labels * 0, (8, 8, 8))
    assert main(["init", *arguments]) != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "config.yaml").exists()


def test_a_stack_of_sections_is_one_volume(tmp_path):
    raw, labels = make_columns((20, 48, 48), 12)
    for name, data in (("raw", raw), ("labels", labels.astype(np.uint16))):
        (tmp_path / name).mkdir()
        for number, section in enumerate(data):
            tifffile.imwrite(tmp_path / name / f"s{number:03}.tif", section)
    run, configuration = propose(".", "--voxel-size", "8,8,8")
    assert run.task.type == "affinities"
    assert {str(volume.raw.path.name) for volume in configuration.volumes.values()} == {"raw"}


def test_layers_of_webknossos_are_images_and_labels(tmp_path):
    layers = [{"name": name} for name in ("segmentation", "color")]
    (tmp_path / "datasource-properties.json").write_text(json.dumps({"dataLayers": layers}))
    (pair,) = pair_data([str(tmp_path)])
    assert (pair.raw.path, pair.labels.path) == (str(tmp_path / "color"), str(tmp_path / "segmentation"))


def test_the_numbers_of_sections_give_the_offset_of_labels(tmp_path, capsys):
    raw, labels = make_columns((12, 60, 60), 10)
    for name, data, numbers in (("em", raw, range(1, 13)), ("seg", labels[3:], range(4, 13))):
        (tmp_path / name).mkdir()
        for section, number in zip(data, numbers, strict=True):
            tifffile.imwrite(tmp_path / name / f"{number:03}.tif", section.astype(np.uint16))
    _, configuration = propose("em:seg", "--voxel-size", "50,5,5")
    assert all(list(volume.labels.offset) == [150, 0, 0] for volume in configuration.volumes.values())
    assert "labels of 9 x 60 x 60 voxels from voxel 3, 0, 0 on" in capsys.readouterr().out


def test_voxel_sizes_that_differ_by_the_resolution_are_not_asked_for(tmp_path, capsys):
    raw, labels = make_columns((32, 60, 60), 10)
    with h5py.File(tmp_path / "cube.h5", "w") as file:
        for name, data, size in (("raw", raw, 8), ("labels", labels[::2, ::2, ::2], 16)):
            file[name] = data
            file[name].attrs["resolution"] = [size] * 3
    assert main(["init", "cube.h5"]) > 0
    assert "resample them to one size; if a file is wrong, state the right one" in capsys.readouterr().err
    assert main(["init", "cube.h5", "--voxel-size", "8,8,8"]) > 0
    assert "the labels have a lower resolution than the image" in capsys.readouterr().err


@pytest.mark.parametrize("argument", [".", "images:masks"])
def test_images_of_two_directories_are_volumes_if_the_voxel_size_has_two_axes(tmp_path, argument):
    raw, labels = make_columns((4, 100, 120), 20)
    for name, data in (("images", raw), ("masks", labels)):
        (tmp_path / name).mkdir()
        for index, (image, height) in enumerate(zip(data, (80, 90, 96, 100), strict=True), start=1):
            tifffile.imwrite(tmp_path / name / f"grid {index}.tif", image[:height].astype(np.uint16))
    run, configuration = propose(argument, "--voxel-size", "4,4")
    assert sorted(configuration.volumes) == ["volume-1", "volume-2", "volume-3", "volume-4"]
    for index in range(1, 5):
        volume = configuration.volumes[f"volume-{index}"]
        assert [path.name for path in (volume.raw.path, volume.labels.path)] == [f"grid {index}.tif"] * 2
        assert [path.parent.name for path in (volume.raw.path, volume.labels.path)] == ["images", "masks"]
    assert len(run.architecture.input_shape) == 2


def test_an_image_without_a_mask_of_its_name_is_named(tmp_path, capsys):
    for name in ("images/a.tif", "images/b.tif", "masks/a.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / name, np.zeros((60, 60), np.uint8))
    assert main(["init", "images:masks", "--voxel-size", "4,4"]) > 0
    assert "found no file of this name in masks for the image images/b.tif" in capsys.readouterr().err


def test_labels_in_a_small_part_of_an_image_limit_the_region(tmp_path):
    raw, labels = make_columns((160, 160, 160), 10)
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("raw", data=raw).attrs["resolution"] = [8, 8, 8]
    for name, begin in (("a", 0), ("b", 64), ("c", 128)):
        with h5py.File(tmp_path / f"crop_{name}.h5", "w") as file:
            box = (slice(begin, begin + 32),) * 3
            file.create_dataset("labels", data=labels[box]).attrs.update(
                resolution=[8, 8, 8], offset=[8 * begin] * 3
            )
    _, configuration = propose(*(f"big.h5:crop_{name}.h5" for name in "abc"))
    regions = {
        name: (volume.roi.offset[0], volume.roi.shape[0]) for name, volume in configuration.volumes.items()
    }
    assert regions == {"a": (0, 640), "b": (128, 1024), "c": (640, 640)}
    assert "since they cover 0.8 % of the image" in (tmp_path / "config.yaml").read_text()


def test_a_few_sections_get_a_network_that_passes_the_check_without_a_warning(tmp_path, capsys):
    raw, labels = make_columns((3, 128, 160), 25)
    for name in "ab":
        write_tiff(tmp_path / f"{name}_raw.tif", raw, (50, 4, 4))
        write_tiff(tmp_path / f"{name}_labels.tif", labels, (50, 4, 4))
    run, _ = propose(".")
    assert [kernel[0] for kernel in run.architecture.kernel_sizes] == [1, 1, 1, 3]
    assert "warning" not in capsys.readouterr().err


def test_boxes_of_one_volume_share_a_warning(tmp_path, capsys):
    write_hdf5(tmp_path / "cube.h5", *make_columns((48, 60, 60), 10), (8, 8, 40))
    propose("cube.h5")
    (line,) = capsys.readouterr().err.splitlines()
    assert "volumes.cube-train, cube-validate, cube-test: the voxel size is 8 along z" in line


def test_labels_in_colors_are_ids_and_links_do_not_count_twice(tmp_path, capsys):
    raw, labels = make_columns((32, 60, 60), 10)
    colors = np.stack([labels % 7, labels % 5, labels % 251], axis=-1).astype(np.uint8)
    for name, data in (("store/em", raw), ("store/seg", colors)):
        (tmp_path / name).mkdir(parents=True)
        for index, section in enumerate(data):
            tifffile.imwrite(
                tmp_path / name / f"{index:03}.tif", section, photometric="rgb" if data.ndim == 4 else None
            )
    for name in ("em", "seg"):
        (tmp_path / name).symlink_to(f"store/{name}")
    _, configuration = propose(".", "--voxel-size", "8,8,8")
    assert {volume.labels.encoding for volume in configuration.volumes.values()} == {"rgb"}
    out = capsys.readouterr().out
    assert "labels of all voxels, whose colors are read as ids (encoding: rgb): 36 values besides 0" in out


def test_labels_of_one_value_in_all_voxels_are_refused(tmp_path, capsys):
    raw, labels = make_columns((32, 60, 60), 10)
    write_hdf5(tmp_path / "cube.h5", raw, np.ones_like(labels), (8, 8, 8))
    assert main(["init", "cube.h5"]) > 0
    assert "hold the value 1, so that there is nothing to distinguish" in capsys.readouterr().err
