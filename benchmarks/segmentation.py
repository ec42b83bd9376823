"""Segmentation: time, memory and accuracy beside volara; throughput and memory by size; a large graph.

    python benchmarks/segmentation.py race [--affinities A.npy --labels L.npy]   # about five minutes
    python benchmarks/segmentation.py kernels
    python benchmarks/segmentation.py sizes --sizes 64 128 256 512 --plot benchmarks/segmentation.png
    python benchmarks/segmentation.py edges --edges 100000000

``race`` installs the PyPI package volara in an environment of its own, and runs it and Attacca in turns on the same
affinities (synthetic ones by default), blocks, context, offsets and biases, each in new processes with two
workers. Memory is the largest sum over a process and its children of unique memory (USS), polled. Both run once
before time is taken. Accuracy is variation of information, voxels without label left out.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

OFFSETS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0), (0, 3, 0), (0, 0, 3), (9, 0, 0), (0, 9, 0), (0, 0, 9)]
VOLARA = "volara==1.0.5"


def synthetic(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 affinities with correlated noise, and the labels (cells of random points, stretched along x)."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    marks = np.zeros(shape, bool)
    marks[tuple(rng.integers(0, n, int(np.prod(shape)) // 20_000) for n in shape)] = True
    nearest = ndimage.distance_transform_edt(
        ~marks, sampling=(1, 1, 0.3), return_distances=False, return_indices=True
    )
    labels = (np.ravel_multi_index(tuple(nearest), shape) + 1).astype(np.uint64)
    result = np.empty((len(OFFSETS), *shape), np.uint8)
    for k, offset in enumerate(OFFSETS):
        same = np.roll(labels, [-o for o in offset], (0, 1, 2)) == labels
        logit = 9 * (ndimage.gaussian_filter(same.astype(np.float32), 1.0) - 0.6)
        for sigma in (1.5, 5):
            noise = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma)
            logit += 1.5 * noise / noise.std()
        result[k] = np.round(255 / (1 + np.exp(-logit)))
    return result, labels


def volara_side(folder: Path, job: dict[str, Any]) -> None:
    """Runs in volara's environment."""
    from funlib.geometry import Coordinate
    from funlib.persistence import prepare_ds
    from volara.blockwise import AffAgglom, ExtractFrags, GraphMWS, Relabel
    from volara.datasets import Affs, Labels
    from volara.dbs import SQLite
    from volara.lut import LUT

    os.chdir(folder)
    store = folder / "affs.zarr"
    values = np.load(job["affinities"], mmap_mode="r")
    if not store.exists():
        array = prepare_ds(
            store / "affs",
            values.shape,
            (0, 0, 0),
            (1, 1, 1),
            ["c^", "z", "y", "x"],
            ["", "", ""],
            chunk_shape=(len(values), *job["block"]),
            dtype=np.uint8,
        )
        array[:] = np.array(values)
    start = time.perf_counter()
    affs = Affs(store=store / "affs", neighborhood=[Coordinate(o) for o in OFFSETS])
    frags, segs = Labels(store=folder / "frags.zarr/frags"), Labels(store=folder / "frags.zarr/segs")
    db = SQLite(path=folder / "db.sqlite", edge_attrs={"direct": "float", "long": "float"})
    lut = LUT(path=folder / "lut.npz")
    direct, long = job["bias"]
    block, context = Coordinate(job["block"]), Coordinate(job["context"])
    stride = Coordinate([job["stride"]] * 3)
    common = {"num_workers": job["workers"], "block_size": block}
    stages = [
        ExtractFrags(
            db=db,
            affs_data=affs,
            frags_data=frags,
            context=context,
            bias=[-direct] * 3 + [-long] * 6,
            strides=[Coordinate(1, 1, 1)] * 3 + [stride] * 6,
            **common,
        ),
        AffAgglom(
            db=db,
            affs_data=affs,
            frags_data=frags,
            context=context,
            scores={
                "direct": [Coordinate(o) for o in OFFSETS[:3]],
                "long": [Coordinate(o) for o in OFFSETS[3:]],
            },
            **common,
        ),
        GraphMWS(
            db=db,
            lut=lut,
            weights={"direct": (1.0, -direct), "long": (1.0, -long)},
            roi=((0, 0, 0), tuple(values.shape[1:])),
        ),
        Relabel(frags_data=frags, seg_data=segs, lut=lut, **common),
    ]
    for stage in stages:
        stage.run_blockwise(multiprocessing=True) if job["workers"] > 1 else stage.run_blockwise(False)
    seconds = time.perf_counter() - start
    import zarr

    np.save(folder / "result.npy", zarr.open(str(folder / "frags.zarr/segs"), mode="r")[:])
    print(json.dumps({"seconds": seconds}))


def attacca_side(folder: Path, job: dict[str, Any]) -> None:
    from funlib.geometry import Coordinate, Roi

    from attacca.arrays import LocalArrayIdentifier, ZarrArray
    from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
    from attacca.segmentation.chain import segment_volume

    values = np.load(job["affinities"], mmap_mode="r")
    roi, block = Roi((0, 0, 0), values.shape[1:]), Coordinate(job["block"])
    prediction = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(folder / "affs.zarr", "s0"),
        ["c", "z", "y", "x"],
        roi,
        len(values),
        (1, 1, 1),
        np.uint8,
        write_size=block,
        value_scale=1 / 255,
    )
    prediction[roi] = np.array(values)
    output = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(folder / "segments.zarr", "s0"),
        ["z", "y", "x"],
        roi,
        None,
        (1, 1, 1),
        np.uint64,
        write_size=block,
        overwrite=True,
    )
    start = time.perf_counter()
    direct, long = job["bias"]
    if job["tuned"]:
        fragments = FragmentSettings.model_validate(job["tuned"]["fragments"])
        agglomeration = AgglomerationSettings.model_validate(job["tuned"]["agglomeration"])
    else:
        fragments = FragmentSettings(
            chain="mutex_watershed",
            bias=[direct, long],
            strides=job["stride"],
            min_fragment_size=0,
            fill_background=False,
            cell_size=job["block"],
            context=job["context"],
        )
        agglomeration = AgglomerationSettings(method="mutex_watershed", threshold=direct, long_bias=long)
    segment_volume(
        prediction, output, OFFSETS, fragments, agglomeration, folder / "work", num_workers=job["workers"]
    )
    seconds = time.perf_counter() - start
    np.save(folder / "result.npy", output[roi])
    print(json.dumps({"seconds": seconds}))


def measured(command: list[str]) -> tuple[dict[str, Any], float]:
    """Result line of a command, and the peak of its tree's unique memory in MB."""
    import psutil

    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        total = 0
        try:
            for member in [process, *process.children(recursive=True)]:
                try:
                    total += member.memory_full_info().uss
                except psutil.Error:
                    continue
        except psutil.Error:
            break
        peak = max(peak, total)
        time.sleep(0.2)
    out, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors[-3000:]}")
    return json.loads(out.strip().splitlines()[-1]), peak / 1e6


def race(arguments: argparse.Namespace) -> None:
    from attacca.evaluators.contingency import contingency_table
    from attacca.evaluators.instance_scores import voi_from_table

    root = Path(arguments.workdir or tempfile.mkdtemp(prefix="segmentation-"))
    root.mkdir(parents=True, exist_ok=True)
    python = root / "volara" / "bin" / "python"
    if arguments.volara_python:
        python = Path(arguments.volara_python)
    elif not python.exists():
        venv.create(root / "volara", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", VOLARA], check=True)
    if arguments.affinities:
        affinities, labels = np.load(arguments.affinities, mmap_mode="r"), np.load(arguments.labels)
    else:
        affinities, labels = synthetic(tuple(arguments.shape))
    source = root / "affinities.npy"
    np.save(source, affinities)
    job = {
        "affinities": str(source),
        "block": arguments.block,
        "context": arguments.context,
        "workers": 2,
        "bias": arguments.bias,
        "stride": arguments.stride,
        "tuned": None,
    }
    sides = {
        "volara": (str(python), "volara-side", job),
        "attacca, same algorithm": (sys.executable, "attacca-side", job),
        "attacca, tuned chain": (sys.executable, "attacca-side", {**job, "tuned": _tuned(arguments, root)}),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    results = {}
    for turn in range(arguments.rounds + 1):
        for name, (interpreter, side, settings) in sides.items():
            if turn == 0 and name == "volara":
                continue
            folder = root / f"{name.replace(',', '').replace(' ', '-')}-{turn}"
            folder.mkdir(exist_ok=True)
            result, memory = measured([interpreter, __file__, side, str(folder), json.dumps(settings)])
            if turn:
                found[name].append((result["seconds"], memory))
            results[name] = np.load(folder / "result.npy")
    print(
        f"shape {affinities.shape[1:]}, blocks {job['block']}, context {job['context']}, stride {job['stride']}"
    )
    print(
        f"biases {job['bias']}, 2 workers, medians of {arguments.rounds} runs in turns; load {os.getloadavg()[0]:.1f}"
    )
    print("| | wall s | peak MB | VOI | split | merge |\n|---|---|---|---|---|---|")
    for name, runs in found.items():
        voi = voi_from_table(contingency_table(results[name], labels))
        seconds, memory = (statistics.median(run[i] for run in runs) for i in (0, 1))
        print(
            f"| {name} | {seconds:.1f} | {memory:.0f} | {voi.total:.2f} | {voi.split:.2f} | {voi.merge:.2f} |"
        )


def _tuned(arguments: argparse.Namespace, root: Path) -> dict[str, Any]:
    """What the default configuration's tuner chooses on another volume."""
    from funlib.geometry import Coordinate, Roi

    from attacca.arrays import NumpyArray
    from attacca.config.segmentation import SegmentationConfig
    from attacca.segmentation.tuning import TuningVolume, tune

    if arguments.validation_affinities:
        affinities, labels = np.load(arguments.validation_affinities), np.load(arguments.validation_labels)
    else:
        affinities, labels = synthetic(tuple(arguments.shape), seed=1)
    roi = Roi((0, 0, 0), affinities.shape[1:])
    array = NumpyArray.from_np_array(
        affinities / np.float32(255), roi, Coordinate((1, 1, 1)), ["c", "z", "y", "x"]
    )
    config = SegmentationConfig(block_size=arguments.block)
    start = time.perf_counter()
    result = tune(
        [TuningVolume("validation", array, labels)], OFFSETS, config, root / "tuning", num_workers=2
    )
    row = {key: value for key, value in result.table[result.chosen["row"]].items() if key != "segments"}
    print(
        f"tuned {len(result.table)} settings in {time.perf_counter() - start:.0f} s on another volume: {row}"
    )
    return result.chosen


def kernels(arguments: argparse.Namespace) -> None:
    """CPU seconds of one thread, and memory beyond the input by high-water marks, each kernel in its process."""
    affinities, labels = synthetic(tuple(arguments.shape))
    print("| kernel | Mvoxel/s, one thread | peak bytes a voxel beyond input |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/affinities.npy", affinities)
        np.save(f"{folder}/labels.npy", labels)
        for kernel in range(4):
            subprocess.run([sys.executable, __file__, "one-kernel", folder, str(kernel)], check=True)


def one_kernel(folder: Path, number: int) -> None:
    from attacca.segmentation.compiled import warm
    from attacca.segmentation.graph import Region, block_graph
    from attacca.segmentation.mutex_watershed import mutex_watershed
    from attacca.segmentation.offsets import Offsets
    from attacca.segmentation.seeded import grow_fragments

    warm()
    affinities, labels = np.load(folder / "affinities.npy"), np.load(folder / "labels.npy")
    region = Region((0, 0, 0), labels.shape)

    def graph(stride: int) -> None:
        block_graph(labels, affinities, Offsets.create(OFFSETS, strides=stride), region)

    biased = Offsets.create(OFFSETS, [0.2, 0.8], 3)
    name, function = [
        ("mutex watershed, 9 offsets, stride 3", lambda: mutex_watershed(affinities, biased)),
        ("seeds and growth", lambda: grow_fragments(affinities, biased, grow_above=0.1)),
        ("region graph of the truth, 9 offsets, stride 1", lambda: graph(1)),
        ("region graph of the truth, 9 offsets, stride 3", lambda: graph(3)),
    ][number]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(5):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / labels.size
    print(f"| {name} | {labels.size / min(times) / 1e6:.2f} | {grown:.0f} |", flush=True)


class Tiled:
    """A prediction of any size: one piece of affinities, repeated."""

    def __init__(self, piece: np.ndarray, side: int) -> None:
        from funlib.geometry import Coordinate, Roi

        self.piece, self.num_channels, self.dtype = piece, len(piece), np.dtype(np.uint8)
        self.value_scale, self.value_offset, self.unit = 1 / 255, 0.0, "nanometer"
        self.roi, self.voxel_size = Roi((0, 0, 0), (side,) * 3), Coordinate((1, 1, 1))

    def __getitem__(self, roi: Any) -> np.ndarray:
        places = [np.arange(b, e) % n for b, e, n in zip(roi.begin, roi.end, self.piece.shape[1:])]
        return self.piece[np.ix_(np.arange(self.num_channels), *places)]


def one_size(side: int) -> None:
    """In a process of its own: segment a cube of ``side`` voxels, print seconds and peak memory."""
    from attacca.arrays import LocalArrayIdentifier, ZarrArray
    from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
    from attacca.segmentation.chain import segment_volume
    from attacca.segmentation.compiled import warm

    warm()
    prediction = Tiled(synthetic((64, 64, 64))[0], side)
    with tempfile.TemporaryDirectory() as folder:
        output = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(Path(folder) / "o.zarr", "s0"),
            ["z", "y", "x"],
            prediction.roi,
            None,
            (1, 1, 1),
            np.uint64,
            write_size=(64, 64, 64),
        )
        start = time.process_time()
        segment_volume(
            prediction,
            output,
            OFFSETS,
            FragmentSettings(cell_size=[64, 64, 64]),
            AgglomerationSettings(),
            folder,
        )
        seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak}))


def sizes(arguments: argparse.Namespace) -> None:
    print("| side | CPU s | Mvoxel/s | peak MB |\n|---|---|---|---|")
    rows = []
    for side in arguments.sizes:
        done = subprocess.run(
            [sys.executable, __file__, "one-size", str(side)], check=True, capture_output=True, text=True
        )
        row = json.loads(done.stdout.strip().splitlines()[-1])
        rows.append((side, row["seconds"], row["peak"]))
        print(
            f"| {side} | {row['seconds']:.1f} | {side**3 / row['seconds'] / 1e6:.2f} | {row['peak']:.0f} |",
            flush=True,
        )
    if arguments.plot:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        voxels = [side**3 / 1e6 for side, _, _ in rows]
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
        left.loglog(voxels, [seconds for _, seconds, _ in rows], "o-")
        left.set(xlabel="volume (million voxels)", ylabel="CPU time of one process (s)")
        right.semilogx(voxels, [peak for _, _, peak in rows], "o-")
        right.set(xlabel="volume (million voxels)", ylabel="peak memory (MB)")
        right.set_ylim(0, 1.2 * max(peak for _, _, peak in rows))
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        figure.savefig(arguments.plot, dpi=120)


def edges(arguments: argparse.Namespace) -> None:
    """A graph of a box of fragments with seven neighbours each, its columns on disk as a volume's are."""
    from attacca.segmentation.agglomerate import Graph, clusters_at, mean_affinity_merges, mutex_clusters
    from attacca.segmentation.compiled import warm

    warm("graph")
    side = round((arguments.edges / 7) ** (1 / 3))
    nodes = side**3
    steps = np.array([1, side, side + 1, side**2, side**2 + 1, side**2 + side, side**2 + side + 1])
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "u": np.int32,
            "v": np.int32,
            "direct_sum": np.int64,
            "direct_count": np.int32,
            "direct_max": np.uint8,
            "long_sum": np.int64,
            "long_count": np.int32,
        }
        files = {name: open(Path(folder) / name, "wb") for name in kinds}  # noqa: SIM115
        rng = np.random.default_rng(0)
        total = 0
        for begin in range(0, nodes, 1_000_000):
            u = np.repeat(np.arange(begin, min(nodes, begin + 1_000_000)), 7)
            v = u + np.tile(steps, len(u) // 7)
            u, v = u[v < nodes], v[v < nodes]
            count = rng.integers(1, 200, len(u))
            mean = np.where(rng.random(len(u)) < 0.3, 220, 60) + rng.normal(0, 30, len(u))
            direct = (np.clip(mean, 0, 255) * count).astype(np.int64)
            columns = {
                "u": u,
                "v": v,
                "direct_sum": direct,
                "direct_count": count,
                "direct_max": count * 0,
                "long_sum": direct // 3,
                "long_count": count // 3,
            }
            for name, values in columns.items():
                files[name].write(values.astype(kinds[name]).tobytes())
            total += len(u)
        for file in files.values():
            file.close()
        mapped = {name: np.memmap(Path(folder) / name, kind, "r") for name, kind in kinds.items()}
        ones = np.ones(nodes, np.int64)
        box = np.zeros((nodes, 3), np.int32)
        graph = Graph(np.arange(1, nodes + 1, dtype=np.uint64), ones, box, box, ones, ones, **mapped)
        print(f"{nodes} fragments, {total} edges")
        start = time.perf_counter()
        merges = mean_affinity_merges(graph, 0.3)
        clusters = int(clusters_at(merges, nodes, 0.5).max()) + 1
        print(
            f"mean affinity: {clusters} segments at 0.5, {time.perf_counter() - start:.0f} s, {_peak()}",
            flush=True,
        )
        del merges
        start = time.perf_counter()
        clusters = int(mutex_clusters(graph, 0.5, 0.7).max()) + 1
        print(f"mutex watershed: {clusters} segments, {time.perf_counter() - start:.0f} s, {_peak()}")


def _peak() -> str:
    return f"peak of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("race")
    command.add_argument("--affinities")
    command.add_argument("--labels")
    command.add_argument("--shape", type=int, nargs=3, default=[80, 128, 192])
    command.add_argument("--block", type=int, nargs=3, default=[40, 64, 64])
    command.add_argument("--context", type=int, nargs=3, default=[10, 16, 16])
    command.add_argument("--bias", type=float, nargs=2, default=[0.2, 0.8])
    command.add_argument("--stride", type=int, default=4)
    command.add_argument("--validation-affinities")
    command.add_argument("--validation-labels")
    command.add_argument("--rounds", type=int, default=2)
    command.add_argument("--workdir")
    command.add_argument("--volara-python")
    command = commands.add_parser("kernels")
    command.add_argument("--shape", type=int, nargs=3, default=[80, 128, 192])
    command = commands.add_parser("sizes")
    command.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256])
    command.add_argument("--plot")
    command = commands.add_parser("edges")
    command.add_argument("--edges", type=int, default=100_000_000)
    for side in ("volara-side", "attacca-side"):
        command = commands.add_parser(side)
        command.add_argument("folder", type=Path)
        command.add_argument("job", type=json.loads)
    command = commands.add_parser("one-kernel")
    command.add_argument("folder", type=Path)
    command.add_argument("number", type=int)
    command = commands.add_parser("one-size")
    command.add_argument("side", type=int)
    arguments = parser.parse_args()
    if arguments.command in ("volara-side", "attacca-side"):
        {"volara-side": volara_side, "attacca-side": attacca_side}[arguments.command](
            arguments.folder, arguments.job
        )
    elif arguments.command == "one-kernel":
        one_kernel(arguments.folder, arguments.number)
    elif arguments.command == "one-size":
        one_size(arguments.side)
    else:
        {"race": race, "kernels": kernels, "sizes": sizes, "edges": edges}[arguments.command](arguments)


if __name__ == "__main__":
    main()
