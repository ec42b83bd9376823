"""Damage of random files of a finished run, and its repair by the same command.

A run on small synthetic volumes is finished; then one bit is flipped in each of 200 random files and 50 files are deleted.
The workflow is started again, and all results are compared byte by byte with those before; the times of jobs in the report
and the speed of the training are left out.

    python benchmarks/damage.py --flips 200 --deletions 50
"""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]

CONFIGURATION = {
    "results": "results",
    "volumes": {
        name: {"synthetic": {"shape": [48, 48, 48], "seed": seed}, "voxel_size": [8, 8, 8], "chunk": [16, 16, 16]}
        for seed, name in enumerate(("taught", "chosen", "tested"), start=1)
    },
    "runs": {
        "first": {
            "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0]]},
            "architecture": {"input_shape": [24, 24, 24], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]},
            "training": {
                "iterations": 6, "loader_workers": 0, "torch_threads": 1, "checkpoint": {"interval": 3, "keep_last": 2},
            },
            "volumes": {"train": ["taught"], "validate": ["chosen"], "test": ["tested"]},
            "prediction": {"block_size": [8, 8, 8]},
            "segmentation": {
                "chain": "seeded", "block_size": [16, 16, 16],
                "checks": dict.fromkeys(
                    ("max_seam_excess", "max_segment_share", "min_segmented_share", "max_saturated_share")
                ),
            },
        }
    },
    "execution": {"threads": 1},
}  # fmt: skip

NOT_RESULTS = ("logs", "benchmarks", "machines")
"""Directories of files that describe how results were computed."""


_TIMES = re.compile(rb"[0-9]+ s(?=</td>)")


def run_workflow(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the plain command in a directory."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2"]
    return subprocess.run(
        [*command, "--configfile", "config.yaml"], cwd=directory, capture_output=True, text=True
    )


def read_result(path: Path) -> bytes:
    """Return the content of a result; that of the report without the times of jobs, which differ at each computation."""
    content = path.read_bytes()
    return _TIMES.sub(b"", content) if path.name == "report.html" else content


def is_timed(path: Path) -> bool:
    """Return whether a file records the speed of a training, which differs when a training is repeated."""
    return path.name == "timing.tsv" or path.parent.name == "tensorboard"


def list_results(results: Path) -> list[Path]:
    """Return all files of results, without hidden files and records of the start."""
    return sorted(
        path
        for path in results.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(results).parts)
        and path.relative_to(results).parts[0] not in NOT_RESULTS
        and path.name not in ("workflow.json", "run.json")
    )


def damage_files(results: Path, flips: int, deletions: int, seed: int) -> tuple[list[Path], list[Path]]:
    """Flip one bit in each of some random files and delete others; return both lists."""
    draws = random.Random(seed)
    files = [path for path in list_results(results) if path.stat().st_size]
    chosen = draws.sample(files, min(len(files), flips + deletions))
    for path in chosen[:flips]:
        content = bytearray(path.read_bytes())
        content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        path.write_bytes(content)
    for path in chosen[flips:]:
        path.unlink()
    return chosen[:flips], chosen[flips:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--deletions", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="directory of the finished run, which is reused")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attacca-damage-") as scratch:
        directory = options.keep or Path(scratch, "finished")
        if not directory.exists():
            directory.mkdir(parents=True)
            (directory / "config.yaml").write_text(yaml.safe_dump(CONFIGURATION))
            done = run_workflow(directory)
            if done.returncode:
                sys.exit(done.stdout + done.stderr)
        copy = Path(scratch, "damaged")
        shutil.copytree(directory, copy)
        results = copy / "results"
        before = {path: read_result(path) for path in list_results(results)}
        flipped, deleted = damage_files(results, options.flips, options.deletions, options.seed)
        start = time.perf_counter()
        done = run_workflow(copy)
        seconds = time.perf_counter() - start
        after = {path: read_result(path) for path in list_results(results)}
        different = [path for path in before if after.get(path) != before[path] and not is_timed(path)]
        print(
            f"{len(before)} files of a finished run; {len(flipped)} with a flipped bit, {len(deleted)} deleted"
        )
        print(
            next(
                (line for line in done.stderr.splitlines() if line.startswith("results: ")),
                "nothing was found",
            )
        )
        print(f"the same command: exit code {done.returncode}, {seconds:.0f} s")
        print(f"files that differ afterwards: {len(different)} of {len(before)}")
        for path in different:
            state = "deleted" if path in deleted else "flipped" if path in flipped else "not damaged"
            print(f"  {path.relative_to(results)} ({state})")
        again = run_workflow(copy)
        rest = next(line for line in again.stderr.splitlines() if line.startswith("results: "))
        print(f"the same command once more: exit code {again.returncode}; {rest}")
        if done.returncode or different:
            sys.exit(done.stderr[-6000:])


if __name__ == "__main__":
    main()
