"""A small directory of results in the form that the stages write, with synthetic arrays."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.config.segmentation import SegmentationConfig
from attacca.segmentation.tuning import tune
from attacca.segmentation.tuning_volume import TuningVolume

VOXEL = Coordinate(8, 8, 8)
SHAPE = (32, 80, 96)
OFFSETS = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 9, 0], [0, 0, 9]]


def cells(shape: tuple[int, ...], number: int, seed: int) -> np.ndarray:
    """Wobbly cells: the nearest of random seeds, in coordinates that a smooth field displaces."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij"), axis=-1)
    for axis in range(3):
        grid[..., axis] += 26 * gaussian_filter(random.standard_normal(shape).astype(np.float32), 5) * 5
    seeds = random.uniform(0, 1, (number, 3)) * shape
    # Longer along x, as neurites are.
    stretch = np.array([1.6, 1.0, 0.7])
    _, nearest = cKDTree(seeds * stretch).query(grid.reshape(-1, 3) * stretch)
    return (nearest + 1).reshape(shape).astype(np.uint64)


def membrane(labels: np.ndarray) -> np.ndarray:
    """Voxels that touch another cell."""
    edge = np.zeros(labels.shape, dtype=bool)
    for axis in range(labels.ndim):
        step = np.diff(labels.astype(np.int64), axis=axis) != 0
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(labels.ndim))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(labels.ndim))
        edge[low] |= step
        edge[high] |= step
    return edge


def affinities(labels: np.ndarray, seed: int) -> np.ndarray:
    """Affinities as a network would predict them: smooth, and wrong here and there."""
    random = np.random.default_rng(seed)
    channels = []
    for offset in OFFSETS:
        partner = np.roll(labels, [-step for step in offset], axis=(0, 1, 2))
        noise = gaussian_filter(random.standard_normal(labels.shape), 1.5) * 0.8
        channels.append(np.clip(gaussian_filter((labels == partner).astype(np.float32), 0.7) + noise, 0, 1))
    return np.stack(channels)


def wrong_segmentation(labels: np.ndarray) -> np.ndarray:
    """The ground truth with two objects merged here, and some cut in two there."""
    segments = labels.astype(np.uint64) + np.uint64(1000)
    ids, counts = np.unique(labels, return_counts=True)
    largest = ids[np.argsort(-counts)]
    for value in largest[:5]:
        where = np.argwhere(labels == value)
        axis = int(np.argmax(where.max(axis=0) - where.min(axis=0)))
        cut = int(np.median(where[:, axis]))
        half = (labels == value) & (np.arange(labels.shape[axis]) > cut).reshape(
            [-1 if a == axis else 1 for a in range(3)]
        )
        segments[half] += np.uint64(5000)
    for value in largest[6:11]:
        voxels = np.argwhere(labels == value)
        z, y, x = voxels[len(voxels) // 2]
        row = labels[z, y]
        neighbors = row[(row != value) & (row != 0)]
        if len(neighbors):
            place = int(np.argmin(np.abs(np.flatnonzero((row != value) & (row != 0)) - x)))
            segments[labels == neighbors[place]] = value + np.uint64(1000)
    segments[membrane(labels) & (np.random.default_rng(5).random(labels.shape) < 0.2)] = 0
    return segments


def write_image(
    path: Path, dataset: str, data: np.ndarray, offset: tuple[int, ...] = (0, 0, 0), **options: Any
) -> ZarrArray:
    """Write one scale, and a coarser one where ``pyramid`` is set."""
    lead = data.ndim - 3
    array = None
    levels: list[str] = []
    for level in range(2 if options.pop("pyramid", False) else 1):
        size = VOXEL * 2**level
        voxels = data[(slice(None),) * lead + (slice(None, None, 2**level),) * 3]
        name = f"{dataset}/s{level}".strip("/")
        made = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(path, name),
            ["c", "z", "y", "x"] if lead else ["z", "y", "x"],
            Roi(offset, Coordinate(voxels.shape[lead:]) * size),
            voxels.shape[0] if lead else None,
            size,
            voxels.dtype,
            write_size=Coordinate(64, 64, 64) * size,
            **options,
        )
        made[made.roi] = voxels
        array = array or made
        levels.append(f"s{level}")
    write_multiscale_metadata(f"{path}/{dataset}".rstrip("/"), levels)
    assert array is not None
    return array


def write_manifest(path: Path, stage: str, result: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = {
        "stage": stage,
        "version": 1,
        "parameters": {},
        "inputs": {},
        "result": result,
        "fingerprint": "ab" * 32,
    }
    path.write_text(json.dumps(manifest))


def score(
    name: str, value: float | None, unit: str, higher: bool, convention: str, channel: str | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "higher_is_better": higher,
        "bounds": [0, None],
        "convention": convention,
        "channel": channel,
    }


VOI = "H(segmentation | ground truth) and H(ground truth | segmentation), log2; voxels with label 0 ignored"
RAND = "1 - F score of Rand, over pairs of voxels; voxels with label 0 ignored"


def instance_scores(split: float, merge: float, rand: float) -> list[dict[str, Any]]:
    return [
        score("voi", split + merge, "bits", False, VOI),
        score("voi_split", split, "bits", False, VOI),
        score("voi_merge", merge, "bits", False, VOI),
        score("adapted_rand_error", rand, "", False, RAND),
        score("average_precision", 0.71, "", True, "mean over IoU thresholds 0.5 to 0.9"),
        score("f1_iou50", 0.88, "", True, "objects matched one to one at IoU 0.5"),
        score("recall_iou90", None, "", True, "objects matched one to one at IoU 0.9"),
    ]


def run_config(kind: str = "affinities") -> dict[str, Any]:
    task: dict[str, Any] = {"type": kind, "name": ""}
    if kind == "affinities":
        task |= {"neighborhood": OFFSETS, "lsds": False}
    elif kind == "one_hot":
        task |= {"classes": ["cytosol", "membrane", "mitochondrion"]}
    else:
        task |= {"channels": ["membrane", "mitochondrion"], "scale_factor": 50.0}
        task |= {"clip_distance": 100.0, "tol_distance": 16.0}
    return {
        "task": task,
        "architecture": {
            "type": "unet",
            "features": [12, 24, 48],
            "input_shape": [64, 64, 64],
            "padding": "valid",
        },
        "training": {"iterations": 3000, "batch_size": 1, "learning_rate": 0.0005},
        "volumes": {"train": ["tissue-train"], "validate": ["tissue-validation"], "test": ["tissue-test"]},
        "evaluation": {"criterion": "voi"} if kind == "affinities" else {},
        "seed": 7,
    }


@dataclass
class FakeResults:
    """Results of two runs on synthetic tissue."""

    directory: Path
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_training(directory: Path, raw: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Curves, snapshots and the manifest of a training."""
    random = np.random.default_rng(seed)
    (directory / "snapshots").mkdir(parents=True)
    (directory / "checkpoints").mkdir()
    at = np.arange(1, 3001)
    loss = 0.09 + 0.6 * np.exp(-at / 350) + 0.03 * random.standard_normal(3000) * np.exp(-at / 2500)
    rate = 5e-4 * np.minimum(1, at / 100) * (0.5 + 0.5 * np.cos(np.pi * at / 3000))
    lines = ["iteration\tloss\tlearning_rate\tsteps_per_s"]
    lines += [f"{i}\t{x:.6g}\t{r:.6g}\t{5.1:.3g}" for i, x, r in zip(at, loss, rate)]
    (directory / "metrics.tsv").write_text("\n".join(lines) + "\n12\t0.")
    lines = ["iteration\tcriterion\tvalue"]
    for i in range(300, 3001, 300):
        split, merge = 0.25 + np.exp(-i / 500), 0.2 + 0.8 * np.exp(-i / 700) + 0.05 * random.standard_normal()
        measured = {"loss": 0.12 + 0.5 * np.exp(-i / 400), "voi": split + merge}
        measured |= {"voi_split": split, "voi_merge": merge}
        lines += [f"{i}\t{name}\t{value:.9g}" for name, value in measured.items()]
    (directory / "validation.tsv").write_text("\n".join(lines) + "\n")
    (directory / "checkpoints" / "best.json").write_text(json.dumps({"iteration": 2700, "criterion": "voi"}))
    target = affinities(labels, 1) > 0.5
    for number, iteration in enumerate((1, 1000, 2000, 3000)):
        z, y, x = 16, slice(12 + 4 * number, 52 + 4 * number), slice(20, 68)
        np.savez_compressed(
            directory / "snapshots" / f"iteration_{iteration:08d}.npz",
            raw=raw[None, z, y.start - 10 : y.stop + 10, x.start - 10 : x.stop + 10].astype(np.float32) / 255,
            target=target[:, z, y, x].astype(np.float32),
            weight=np.where(target[:, z, y, x], 0.6, 3.0).astype(np.float32),
            prediction=affinities(labels, iteration)[:, z, y, x] * min(1, 0.3 + iteration / 2000),
            offset=np.array([10, 10]),
            channel_names=np.array([str(offset) for offset in OFFSETS]),
        )


def tuned(directory: Path) -> dict[str, Any]:
    """Tune on the validation volume, so that the result has the format of the tuner itself."""
    name = "tissue-validation"
    prediction = LocalArrayIdentifier(directory / "default" / f"{name}.zarr", "prediction/s0")
    ground_truth = LocalArrayIdentifier(directory / "volumes" / f"{name}.zarr", "labels/ground_truth/s0")
    opened = [ZarrArray.open_from_array_identifier(place) for place in (prediction, ground_truth)]
    config = SegmentationConfig(bias=[[0.2, 0.8], 0.5], min_size=[0, 20])
    result = tune([TuningVolume(name, *opened)], OFFSETS, config, directory / "scratch")
    return {**result.to_json(), "volumes": [name]}


def make_results(directory: Path) -> FakeResults:
    """Write the results of an affinities run and a distance run on three volumes."""
    fake = FakeResults(directory, {"default": run_config(), "membranes": run_config("distance")})
    random = np.random.default_rng(0)
    for seed, name in enumerate(("tissue-train", "tissue-validation", "tissue-test")):
        fake.volumes[name] = {"synthetic": {"seed": seed}}
        labels = cells(SHAPE, 45, seed)
        edge = membrane(labels)
        raw = np.where(edge, 70, 165) + 14 * gaussian_filter(random.standard_normal(SHAPE), 1) * 3
        raw = np.clip(gaussian_filter(raw, 0.8) + 9 * random.standard_normal(SHAPE), 0, 255).astype(np.uint8)
        container = directory / "volumes" / f"{name}.zarr"
        write_image(container, "raw", raw, pyramid=True)
        write_image(container, "labels/ground_truth", labels)
        arrays = {
            image: {"dataset": f"{group}/s0", "in_place": False}
            for image, group in (("raw", "raw"), ("labels", "labels/ground_truth"))
        }
        write_manifest(directory / "volumes" / f"{name}.json", "volume", {"arrays": arrays})
        if name == "tissue-train":
            write_training(directory / "default" / "training", raw, labels, 1)
            write_training(directory / "membranes" / "training", raw, labels, 2)
            continue
        if name == "tissue-validation":
            target = (affinities(labels, 3) > 0.5).astype(np.uint8)
            write_image(directory / "default" / "targets" / f"{name}.zarr", "target", target)
        run = directory / "default" / name
        write_image(
            run.with_name(f"{name}.zarr"),
            "prediction",
            np.rint(255 * affinities(labels, seed)).astype(np.uint8),
            value_scale=1 / 255,
        )
        write_image(
            run.with_name(f"{name}.zarr"), "labels/segmentation", wrong_segmentation(labels), pyramid=True
        )
        for stage, blocks in (("prediction", 12), ("fragments", 8), ("segmentation", 8)):
            write_manifest(run / f"{stage}.json", stage, {"blocks": blocks})
        scores = instance_scores(0.21 + 0.03 * seed, 0.12, 0.06 + 0.01 * seed)
        stored = {
            "scores": scores,
            "volume": name,
            "segmentation": {"fragments": 210, "segments": 48, "seam_excess": 1.02},
        }
        (run / "scores.json").write_text(json.dumps(stored))
        run = directory / "membranes" / name
        distance = np.tanh((distance_transform_edt(edge) - distance_transform_edt(~edge)) * 8 / 50)
        distances = np.stack([distance, np.roll(-distance, 9, axis=1)])
        stored_distances = np.rint(255 * (distances + 1) / 2).astype(np.uint8)
        container = run.with_name(f"{name}.zarr")
        write_image(container, "prediction", stored_distances, value_scale=2 / 255, value_offset=-1.0)
        write_image(container, "labels/segmentation", (distances > 0).astype(np.uint8))
        for stage in ("prediction", "segmentation"):
            write_manifest(run / f"{stage}.json", stage, {"blocks": 6})
        rows = []
        for channel in ("membrane", "mitochondrion"):
            rows += [
                score(
                    "dice",
                    0.81,
                    "",
                    True,
                    "2 tp / (2 tp + fp + fn); nan only where the definition is 0 / 0",
                    channel,
                ),
                score("jaccard", 0.69, "", True, "tp / (tp + fp + fn)", channel),
                score("hausdorff", 88.0, "nanometer", False, "largest distance, whole volume", channel),
            ]
        (run / "scores.json").write_text(
            json.dumps({"scores": rows, "volume": name, "segmentation": {"threshold": 0.05}})
        )
    write_manifest(directory / "default" / "tuning.json", "tune", tuned(directory))
    for run_name in fake.runs:
        digest = {"best_file": "iteration_00002700.pt", "checkpoint_digest": "0123456789abcdef" * 4}
        write_manifest(directory / run_name / "training.json", "train", digest)
        outputs = {"predict": {"tissue-test": {"prediction": {"digest": "cd" * 32, "files": 12}}}}
        provenance = {
            "stage": "provenance",
            "configuration": {"runs": fake.runs},
            "configuration digest": "ef" * 32,
            "versions": {"torch": "2.13.0", "numpy": "2.4.6", "zarr": "2.18.7"},
            "seeds": {"run": 7},
            "hardware": {"cpu": "x86_64"},
            "outputs": outputs,
        }
        (directory / run_name / "provenance.json").write_text(json.dumps(provenance))
    tried = [{"id": t + 5, "threshold": t / 10, "jaccard": 0.7 - abs(t) / 20} for t in range(-5, 6)]
    choice = {"criterion": "jaccard", "higher_is_better": True, "volumes": ["tissue-validation"]}
    choice |= {"table": tried, "chosen": {"id": 5, "threshold": 0.0}}
    write_manifest(directory / "membranes" / "tuning.json", "tune", choice)
    return fake


@pytest.fixture(scope="session")
def fake_results(tmp_path_factory: pytest.TempPathFactory) -> FakeResults:
    """Complete results; tests that change anything make a copy."""
    return make_results(tmp_path_factory.mktemp("report") / "results")
