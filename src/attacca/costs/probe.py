"""A small synthetic twin of a configuration, computed to learn what each stage costs on this machine.

Each run keeps its task, network, prediction and segmentation. Its volumes are replaced by small synthetic
ones (two test volumes of different sizes, so that the start of a job and the work in it can be told apart),
and its training is cut short. What the jobs took is read like that of an earlier run.
"""

import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from attacca.config.load import load_configuration
from attacca.config.run import Configuration
from attacca.costs.estimates import estimate_network
from attacca.costs.extents import Extent
from attacca.costs.measurements import MeasuredCost, measured_costs
from attacca.errors import MissingInputError, ResourceError
from attacca.workflow.workflow import Workflow

_SNAKEFILE = Path(__file__).resolve().parents[3] / "Snakefile"
_ITERATIONS = 30
# No probe volume is larger: it shall take minutes.
_MOST_VOXELS = 4_000_000


def probe(
    configuration: Configuration, extents: Mapping[str, Extent], cores: int
) -> dict[tuple[str, str], MeasuredCost]:
    """Costs by stage and run, measured on a twin with small volumes in a directory that is removed again.

    Raises:
        MissingInputError: Attacca does not run from a checkout, so that there are no rules.
        ResourceError: the twin could not be computed; the message ends with what the workflow said.
    """
    if not _SNAKEFILE.exists():
        raise MissingInputError(f"there is no {_SNAKEFILE}: --probe works from a checkout of Attacca")
    with tempfile.TemporaryDirectory(prefix="attacca-probe-") as name:
        directory = Path(name)
        path = directory / "config.yaml"
        path.write_text(yaml.safe_dump(twin(configuration, extents), sort_keys=False))
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(_SNAKEFILE),
            "--configfile",
            str(path),
        ]
        command += ["--cores", str(cores), "--directory", name, "--quiet", "all"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise ResourceError(f"the probe could not be computed, so nothing was measured:\n{said}")
        small = load_configuration(path)
        voxels = {
            volume: math.prod(config.synthetic.shape)
            for volume, config in small.volumes.items()
            if config.synthetic is not None
        }
        return measured_costs(Workflow(small), voxels)


def twin(configuration: Configuration, extents: Mapping[str, Extent]) -> dict[str, Any]:
    """The configuration of the twin, as plain values."""
    volumes: dict[str, Any] = {}
    runs: dict[str, Any] = {}
    for run, settings in configuration.runs.items():
        network = estimate_network(configuration, run, extents)
        train = settings.volumes.train[0]
        source = configuration.volumes[train]
        block = network.block
        sample = [int(size) + 2 * max(8, size // 4) for size in settings.architecture.input_shape]
        small = _limited(block)
        large = _limited(tuple(2 * size for size in block))
        shapes = {
            f"{run}-train": [max(a, b) for a, b in zip(sample, small)],
            f"{run}-validate": list(small),
            f"{run}-small": list(small),
            f"{run}-large": list(large),
        }
        for seed, (name, shape) in enumerate(shapes.items(), start=1):
            volumes[name] = {
                "synthetic": {"shape": shape, "seed": seed, "labels": _labels(configuration, run)},
                "voxel_size": source.voxel_size or [10.0] * len(shape),
                "unit": source.unit,
            }
        section = settings.model_dump(mode="json", by_alias=True)
        section["volumes"] = {
            "train": [f"{run}-train"],
            "validate": [f"{run}-validate"],
            "test": [f"{run}-small", f"{run}-large"],
        }
        section["training"]["iterations"] = _ITERATIONS
        section["training"]["checkpoint"]["interval"] = _ITERATIONS
        section["training"]["sampling"] = {}
        # A network that has hardly learnt gives segmentations that the checks would rightly refuse.
        section["segmentation"]["checks"] = dict.fromkeys(section["segmentation"]["checks"])
        runs[run] = section
    execution = configuration.execution.model_dump(mode="json")
    execution |= {"shards": 1, "gpus": 0, "scheduler_address": None}
    return {"results": "results", "volumes": volumes, "runs": runs, "execution": execution}


def _limited(shape: tuple[int, ...]) -> tuple[int, ...]:
    factor = min(1.0, (_MOST_VOXELS / math.prod(shape)) ** (1 / len(shape)))
    return tuple(max(32, int(size * factor) // 16 * 16) for size in shape)


def _labels(configuration: Configuration, run: str) -> str:
    """What the synthetic labels of the twin hold, so that the task has something to learn."""
    return configuration.runs[run].task.synthetic_labels
