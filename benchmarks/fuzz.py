"""Damaged files of all formats: what the readers and ``attacca check`` do with them.

    python benchmarks/fuzz.py [--seeds 26] [--first 0] > benchmarks/fuzz.txt

Small files of each variant in ``docs/formats.md`` are damaged: cut, bits flipped, bytes overwritten, exchanged, inserted,
removed, headers of other formats; in metadata also values replaced, removed, renamed or exchanged. The damages and the
judgment are in ``tests/damaged_files.py``, the files in ``tests/format_cases``. Columns of the table:

- ``refused``: a message that names the file.
- ``equal``: all voxels are those of the sound file, and ``check`` prints the same.
- ``shown``: ``check`` prints something else than for the sound file (shape, type, voxel size, a warning).
- ``payload``: other voxels; each damaged byte that matters holds voxels that the format stores without a checksum.
- ``faults``: a traceback, a message without the file, other voxels without a notice, a hang (20 s of processor time), an
  allocation beyond the limit of memory, or a crash of the process. They are listed with the seed that repeats them.
"""

import argparse
import collections
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from damaged_files import FAULTS, READ, SOUND, Outcome, try_damages


def main() -> None:
    """Damage files and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=26, help="damages per variant")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--only", default="", help="part of the names of the variants")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    tasks = [
        (number, seed) for number, case in enumerate(READ) if options.only in str(case) for seed in seeds
    ]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        outcomes = list(try_damages(tasks, Path(directory)))
    libraries = ("tifffile", "imagecodecs", "pillow", "h5py", "zarr", "numcodecs", "tensorstore", "mrcfile")
    print(
        f"{platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in libraries)
    )
    print(
        f"{len(outcomes)} damaged files, seeds {seeds.start} to {seeds.stop - 1}, {time.monotonic() - started:.0f} s\n"
    )
    print_table(outcomes)
    faults = [outcome for outcome in outcomes if outcome.kind in FAULTS]
    for outcome in faults:
        print(
            f"\n{outcome.kind}: {outcome.case}, seed {outcome.seed}: {outcome.damage}\n  {outcome.message.strip()}"
        )
    sys.exit(bool(faults))


def print_table(outcomes: list[Outcome]) -> None:
    """Print the number of outcomes of each kind, by format."""
    formats = {str(case): case.format for case in READ}
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for outcome in outcomes:
        kind = outcome.kind if outcome.kind in SOUND else "faults"
        for name in (formats[outcome.case], "all"):
            counts[name][kind] += 1
    names = [name for name in counts if name != "all"] + ["all"]
    print(f"{'':28}{'files':>8}" + "".join(f"{kind:>9}" for kind in (*SOUND, "faults")))
    for name in names:
        total = sum(counts[name].values())
        print(f"{name:28}{total:8}" + "".join(f"{counts[name][kind]:9}" for kind in (*SOUND, "faults")))


if __name__ == "__main__":
    main()
