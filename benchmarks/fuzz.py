"""Damaged files of all formats, configurations and results: what the readers, the commands and the workflow do with them.

    python benchmarks/fuzz.py [--seeds 26] [--first 0] [--settings 100] [--results 300] > benchmarks/fuzz.txt

Small files of each variant in ``docs/formats.md`` are damaged: cut, bits flipped, bytes overwritten, exchanged, inserted,
removed, headers of other formats; in metadata also values replaced, removed, renamed or exchanged. The damages and the
judgment are in ``tests/damaged_files.py``, the files in ``tests/format_cases``. Configurations and the results of a finished
run, which is computed first, are damaged and judged by ``tests/damaged_projects.py``. Columns of the table:

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

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from damage import CONFIGURATION, run_workflow

from damaged_files import FAULTS, READ, SOUND, Outcome, try_damages
from damaged_projects import CONFIGURATIONS, NAMES, RESULTS, create_judge


def main() -> None:
    """Damage files and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=26, help="damages per variant")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--only", default="", help="part of the names of the variants")
    parser.add_argument("--settings", type=int, default=100, help="damages per configuration")
    parser.add_argument("--results", type=int, default=300, help="damages of results of a finished run")
    parser.add_argument("--project", type=Path, help="directory of the finished run, which is reused")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    tasks = [
        (number, seed) for number, case in enumerate(READ) if options.only in str(case) for seed in seeds
    ]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        outcomes = list(try_damages(tasks, Path(directory))) if tasks else []
        outcomes += try_project_damages(options, Path(directory))
    libraries = (
        "tifffile",
        "imagecodecs",
        "pillow",
        "h5py",
        "zarr",
        "numcodecs",
        "tensorstore",
        "mrcfile",
        "rosettasciio",
        "wkw",
    )
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


def try_project_damages(options: argparse.Namespace, directory: Path) -> list[Outcome]:
    """Damage configurations, and results of a finished run."""
    tasks = [
        (NAMES.index(name), options.first + seed)
        for name in CONFIGURATIONS
        for seed in range(options.settings)
    ]
    tasks += [(NAMES.index(RESULTS), options.first + seed) for seed in range(options.results)]
    tasks = [task for task in tasks if options.only in NAMES[task[0]]]
    project = options.project or directory / "project"
    if not project.exists():
        project.mkdir()
        (project / "config.yaml").write_text(yaml.safe_dump(CONFIGURATION))
        done = run_workflow(project) if options.results else None
        if done is not None and done.returncode:
            sys.exit(done.stdout + done.stderr)
    return list(try_damages(tasks, directory, create_judge(project), NAMES)) if tasks else []


def print_table(outcomes: list[Outcome]) -> None:
    """Print the number of outcomes of each kind, by format."""
    formats = {str(case): case.format for case in READ} | dict.fromkeys(CONFIGURATIONS, "configurations")
    formats[RESULTS] = "results of a run"
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
