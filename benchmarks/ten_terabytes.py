"""Jobs, memory, time and files for a volume of ten terabytes, as ``attacca plan`` estimates them.

    python benchmarks/ten_terabytes.py > benchmarks/ten_terabytes.txt

The volume is an array of 21,632^3 voxels without a chunk: a plan reads its metadata alone. The configuration is
``ten_terabytes.yaml``; the plan assumes 100 nodes of 8 cores with 32 GB. A plan is arithmetic on typical
speeds: nothing of this size was computed.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import zarr

HERE = Path(__file__).parent


def main() -> int:
    """Print the plan; return its exit code."""
    with tempfile.TemporaryDirectory() as directory:
        group = zarr.open_group(Path(directory, "raw.zarr"), mode="w")
        group.create_array("s0", shape=(21632,) * 3, chunks=(64,) * 3, shards=(512,) * 3, dtype="u1")
        shutil.copy(HERE / "ten_terabytes.yaml", directory)
        command = [sys.executable, "-m", "attacca.cli.main", "plan", "ten_terabytes.yaml"]
        limits = ["--cores", "8", "--memory", "32", "--jobs", "100", "--disk", "200000"]
        print("attacca plan ten_terabytes.yaml", *limits, end="\n\n", flush=True)
        return subprocess.run([*command, *limits], cwd=directory, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
