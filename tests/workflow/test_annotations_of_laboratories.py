"""The whole workflow with annotations as laboratories have them: without an object, with the ids of CREMI, negative, sparse."""

import json

import h5py
import numpy as np
import pytest
import tifffile
import yaml
import zarr
from scipy.spatial import cKDTree

import attacca
from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.cli.main import main
from attacca.config.tasks import AffinitiesTaskConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SHAPE = (24, 32, 32)
LARGEST = 2**64 - 1
SIZE = [8, 8, 8]
CELLS = {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0]]}
SPOTS = {
    "type": "distance", "channels": ["mito"], "clip_distance": 40, "tol_distance": 8, "scale_factor": 16, "class_ids": [1],
}  # fmt: skip
"""Distances to objects of the class 1."""


def make_tissue():
    """Bright cells with dark boundaries: uint8 image and ids from 1."""
    draws = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    distances, nearest = cKDTree(draws.uniform(0, SHAPE, (20, 3))).query(grid, 2)
    raw = 60 + 40 * (distances[..., 1] - distances[..., 0]) + draws.normal(0, 8, SHAPE)
    return raw.clip(0, 255).astype(np.uint8), nearest[..., 0] + 1


def write_volumes(directory):
    """Write an image with annotations of several kinds, and return the volumes of a configuration."""
    raw, cells = make_tissue()
    image = {"path": "raw.tif"}
    tifffile.imwrite(directory / "raw.tif", raw)
    mito = np.isin(cells, (3, 7, 11)).astype(np.uint8)
    tifffile.imwrite(directory / "some.tif", mito)
    tifffile.imwrite(directory / "none.tif", np.zeros_like(mito))
    with h5py.File(directory / "sample.h5", "w") as file:
        neurons = cells.astype(np.uint64) + 2**63 + 2**53
        neurons[:, :4] = LARGEST
        file["volumes/labels/neuron_ids"] = neurons
        clefts = np.full(SHAPE, LARGEST, np.uint64)
        clefts[mito > 0] = 1
        file["volumes/labels/clefts"] = clefts
        for name in ("neuron_ids", "clefts"):
            file[f"volumes/labels/{name}"].attrs["resolution"] = np.array(SIZE, float)
    for name, data in (("raw", raw), ("ignored", np.where(np.indices(SHAPE)[2] < 6, -1, cells))):
        array = zarr.create_array(
            directory / f"{name}.zarr", shape=SHAPE, chunks=(12, 16, 16), dtype=data.dtype, zarr_format=2
        )
        array[:] = data
    sparse = np.zeros(SHAPE, np.uint16)
    sparse[12, 4:28, 4:28] = cells[12, 4:28, 4:28]
    tifffile.imwrite(directory / "sparse.tif", sparse)
    cremi = {"path": "sample.h5", "dataset": "volumes/labels/neuron_ids", "unlabelled": LARGEST}
    labels = {
        "some": {"path": "some.tif"},
        "none": {"path": "none.tif"},
        "neurons": cremi,
        "clefts": cremi | {"dataset": "volumes/labels/clefts", "unlabelled": None},
        "sparse": {"path": "sparse.tif", "unlabelled": 0},
    }
    volumes = {name: {"raw": image, "labels": keys, "voxel_size": SIZE} for name, keys in labels.items()}
    del volumes["clefts"]["labels"]["unlabelled"]
    volumes["ignored"] = {
        "raw": {"path": "raw.zarr"}, "labels": {"path": "ignored.zarr", "unlabelled": -1}, "voxel_size": SIZE,
    }  # fmt: skip
    # A volume is either trained with or tested.
    return volumes | {f"{name}-test": keys for name, keys in volumes.items()}


def make_run(task, *train, validate=(), test=(), **training):
    return {
        "task": task,
        "architecture": {"input_shape": [16, 16, 16], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]},
        "training": {
            "iterations": 4, "torch_threads": 1, "loader_workers": 0, "checkpoint": {"interval": 4}, **training,
        },
        "volumes": {"train": [*train], "validate": [*validate], "test": [*test]},
        "segmentation": {
            "chain": "seeded",
            "checks": dict.fromkeys(("max_seam_excess", "max_segment_share", "min_segmented_share", "max_saturated_share")),
        } if task is CELLS else {},
    }  # fmt: skip


RUNS = {
    "negatives": make_run(SPOTS, "some", "none", test=["none-test", "some-test"]),
    "neurons": make_run(CELLS, "neurons", test=["neurons-test"]),
    "clefts": make_run(SPOTS, "clefts", test=["clefts-test"]),
    "ignored": make_run(CELLS, "ignored", test=["ignored-test"]),
    "sparse": make_run(CELLS, "sparse", test=["sparse-test"], min_masked=0.002),
}


@pytest.fixture(scope="module")
def annotated(checkout_of):
    """All runs with their scores."""
    checkout = checkout_of("annotated", "{}")
    values = {
        "results": "results",
        "volumes": write_volumes(checkout.directory),
        "runs": RUNS,
        "execution": {"threads": 1},
    }
    checkout.write(yaml.safe_dump(values))
    tested = [(name, volume) for name, run in RUNS.items() for volume in run["volumes"]["test"]]
    scores = [str(checkout.results / name / volume / "scores.json") for name, volume in tested]
    checkout.snakemake("--", *scores)
    return checkout


def scores_of(checkout, run, volume):
    """Value of each score."""
    scores = json.loads((checkout.results / run / volume / "scores.json").read_text())["scores"]
    return {score["name"]: score["value"] for score in scores}


def opened(checkout, *parts):
    return ZarrArray.open_from_array_identifier(
        LocalArrayIdentifier(checkout.results.joinpath(*parts[:-1]), parts[-1])
    )


def test_volumes_without_an_object_are_trained_with_and_scored_after_a_warning(
    annotated, monkeypatch, capsys
):
    monkeypatch.chdir(annotated.directory)
    assert main(["check"]) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert any("volumes.none:" in line and "hold no object" in line for line in warnings)
    assert len((annotated.results / "negatives/training/metrics.tsv").read_text().splitlines()) == 5
    target = opened(annotated, "negatives", "targets", "none.zarr", "target/s0")
    assert target[target.roi].max() <= 0
    scores = scores_of(annotated, "negatives", "none-test")
    assert scores.keys() == scores_of(annotated, "negatives", "some-test").keys()
    # A score that is not defined has no number.
    assert all(value is None or np.isfinite(value) for value in scores.values())


@pytest.mark.parametrize("run", ["neurons", "ignored", "sparse"])
def test_scores_do_not_depend_on_the_ids_and_the_mark_of_voxels_without_annotation(annotated, run):
    segmentation = opened(annotated, run, f"{run}-test.zarr", "labels/segmentation/s0")
    cells = make_tissue()[1].astype(np.uint64)
    is_labeled = np.ones(SHAPE, bool)
    if run == "neurons":
        is_labeled[:, :4] = False
    elif run == "ignored":
        is_labeled[..., :6] = False
    else:
        is_labeled[:] = False
        is_labeled[12, 4:28, 4:28] = True
    labels = NumpyArray.from_np_array(
        np.where(is_labeled, cells, 0), segmentation.roi, segmentation.voxel_size, ["z", "y", "x"]
    )
    expected = attacca.evaluate(
        segmentation, labels, AffinitiesTaskConfig.model_validate(CELLS), unlabelled=0
    )
    scores = scores_of(annotated, run, f"{run}-test")
    assert scores["voi"] > 0
    for name in ("voi_split", "voi_merge", "adapted_rand_error", "f1_iou50"):
        assert scores[name] == pytest.approx(expected.value(name), abs=1e-9)


def test_ids_beyond_the_precision_of_floating_point_numbers_are_kept(annotated):
    labels = opened(annotated, "volumes", "neurons.zarr", "labels/ground_truth/s0")
    stored = labels[labels.roi]
    with h5py.File(annotated.directory / "sample.h5") as file:
        np.testing.assert_array_equal(stored, file["volumes/labels/neuron_ids"][:])
    assert stored.dtype == np.uint64


def test_the_background_of_cremi_is_background_of_a_class(annotated):
    target = opened(annotated, "clefts", "targets", "clefts.zarr", "target/s0")
    plain = opened(annotated, "negatives", "targets", "some.zarr", "target/s0")
    np.testing.assert_array_equal(target[target.roi], plain[plain.roi])
    assert target[target.roi].max() > 128
    assert any(
        np.isfinite(value) for value in scores_of(annotated, "clefts", "clefts-test").values() if value
    )


def test_negative_ids_that_are_not_declared_are_refused_before_anything_runs(annotated, tmp_path, capsys):
    text = annotated.configuration.read_text()
    # An alias repeats the section for the tested volume.
    assert text.count("unlabelled: -1") == 1
    path = annotated.directory / "undeclared.yaml"
    path.write_text(text.replace("unlabelled: -1", "unlabelled: 0"))
    assert main(["check", str(path)]) != 0
    message = capsys.readouterr().err
    assert message.count("negative label -1") == 1
    assert "volumes.ignored.labels, volumes.ignored-test.labels" in message


def test_each_sample_of_a_sparse_annotation_holds_labeled_voxels(annotated):
    lines = (annotated.results / "sparse/training/metrics.tsv").read_text().splitlines()[1:]
    losses = [float(line.split("\t")[1]) for line in lines]
    assert len(losses) == 4 and all(np.isfinite(losses)) and min(losses) > 0
