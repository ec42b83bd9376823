"""Time and memory for a million blocks: planning with Snakemake, iteration over the grid, reading the ledger.

    python benchmarks/scale.py [--edge 100] [--shards 64] > benchmarks/scale.txt

Each part runs in a process of its own; memory is the maximum resident set of this process. The volume has edge^3 blocks
of 128^3 voxels; none of them is computed.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

CONFIGURATION = """
results: {results}
volumes:
  small: {{voxel_size: [8, 8, 8], synthetic: {{shape: [160, 160, 160], seed: 1}}}}
  huge: {{voxel_size: [8, 8, 8], synthetic: {{shape: [{voxels}, {voxels}, {voxels}], seed: 2}}}}
runs:
  neurites:
    task: {{type: affinities, neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [9, 0, 0], [0, 9, 0], [0, 0,
        9]]}}
    volumes: {{train: [small], test: [huge]}}
    prediction: {{block_size: [128, 128, 128]}}
execution: {{shards: {shards}}}
"""

WALK = """
import time
from funlib.geometry import Roi
from attacca.blockwise import BlockGrid
start = time.perf_counter()
grid = BlockGrid(Roi((0, 0, 0), ({edge} * 1024,) * 3), (1024,) * 3, (8,) * 3, context=160)
total = 0
for shard in range({shards}):
    for block in grid.blocks(grid.shard(shard, {shards})):
        total += 1
assert total == len(grid) == {edge} ** 3
print(time.perf_counter() - start)
"""

LEDGER = """
import tempfile, time
from attacca.blockwise import Ledger
with tempfile.TemporaryDirectory() as directory:
    ledger = Ledger(directory, {{"benchmark": "scale"}}, {edge} ** 3)
    begins = [{edge} ** 3 * shard // {shards} for shard in range({shards} + 1)]
    for shard in range({shards}):
        with ledger.shard_writer(shard, {shards}) as writer:
            # All but the last of each shard.
            writer.record(*range(begins[shard], begins[shard + 1] - 1))
    start = time.perf_counter()
    assert len(ledger.missing(range({edge} ** 3))) == {shards}
    print(time.perf_counter() - start)
"""


def measure_command(command: list[str], directory: Path) -> tuple[float, float, float, str]:
    """Run a command; return its wall seconds, CPU seconds, maximum memory in MB, and standard output.

    The command runs below a process without other children, because the operating system reports the maximum of all.
    """
    program = (
        "import resource, subprocess, sys, time; start = time.perf_counter();"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE);"
        "sys.stdout.buffer.write(done.stdout);"
        "seconds = time.perf_counter() - start; used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024);"
        "sys.exit(done.returncode)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    *output, last = result.stdout.strip().split("\n")
    seconds, cpu, megabytes = map(float, last.split())
    return seconds, cpu, megabytes, "\n".join(output)


def main() -> int:
    """Run all parts; return 1 if one exceeds its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=100, help="blocks along each axis")
    parser.add_argument("--shards", type=int, default=64)
    options = parser.parse_args()
    numbers = {"edge": options.edge, "shards": options.shards}
    exceeded = 0
    print(
        f"{options.edge**3} blocks in {options.shards} shards; {platform.processor() or platform.machine()}, "
        f"Python {platform.python_version()}"
    )
    print(f"{'part':40} {'seconds':>8} {'CPU s':>8} {'MB':>6}   limit")
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        configuration = directory / "config.yaml"
        configuration.write_text(
            CONFIGURATION.format(results=directory / "results", voxels=128 * options.edge, **numbers)
        )
        command = [sys.executable, "-m", "snakemake", "-n", "-q", "--cores", "2"]
        command += ["--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", str(configuration)]
        for name, arguments, limit_seconds, limit_megabytes in (
            ("snakemake -n", command, 15.0, 500.0),
            ("iterate over the grid, by shard", [sys.executable, "-c", WALK.format(**numbers)], 10.0, None),
            (
                "read the ledger, find missing blocks",
                [sys.executable, "-c", LEDGER.format(**numbers)],
                10.0,
                None,
            ),
        ):
            seconds, cpu, megabytes, output = measure_command(arguments, directory)
            if limit_megabytes is None:
                # The time of the part, without the start of Python.
                seconds = float(output.split()[-1])
            met = seconds < limit_seconds and (limit_megabytes is None or megabytes < limit_megabytes)
            limit = f"< {limit_seconds:.0f} s" + (f", < {limit_megabytes:.0f} MB" if limit_megabytes else "")
            print(
                f"{name:40} {seconds:8.2f} {cpu:8.2f} {megabytes:6.0f}   {limit} {'met' if met else 'EXCEEDED'}",
                flush=True,
            )
            exceeded += not met
    print(
        f"CPU seconds include the start of Python; load of the machine at the end: {os.getloadavg()[0]:.1f}"
    )
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
