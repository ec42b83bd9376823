"""Measurement of costs on small synthetic volumes.

Each run keeps its task, network, prediction and segmentation. Small synthetic volumes replace its volumes: two test
volumes of different size, which separates the start of a job from its work. The training has few iterations. The
measurements of the jobs are read like those of an earlier run.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from attacca.config.load import load_configuration
from attacca.config.model_description import read_model_description
from attacca.config.run import Configuration
from attacca.costs.measurements import MeasuredCost, read_measured_costs
from attacca.errors import ResourceError
from attacca.prediction.sizes import ConfiguredSizes, choose_sizes
from attacca.workflow.run_snakemake import run_snakemake
from attacca.workflow.workflow import Workflow

_ITERATIONS = 30
# Larger volumes would take longer than minutes.
_MAX_VOXELS = 4_000_000


def measure_with_probe(configuration: Configuration, cores: int) -> dict[tuple[str, str], MeasuredCost]:
    """Run the workflow on small volumes in a temporary directory and return costs by stage and run.

    Args:
        configuration: configuration whose costs are measured.
        cores: cores of the machine.

    Raises:
        MissingInputError: Attacca is not run from a checkout, which contains the rules.
        ResourceError: the workflow failed; the message ends with its output.
    """
    with tempfile.TemporaryDirectory(prefix="attacca-probe-") as name:
        directory = Path(name)
        path = directory / "config.yaml"
        values = create_probe_configuration(configuration)
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        done = run_snakemake(
            path, directory, ["--cores", str(cores), "--quiet", "all"], [], capture_output=True
        )
        if done.returncode:
            output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise ResourceError(f"the probe failed, so nothing was measured:\n{output}")
        voxels = {name: math.prod(volume["synthetic"]["shape"]) for name, volume in values["volumes"].items()}
        return read_measured_costs(Workflow(load_configuration(path)), voxels)


def create_probe_configuration(configuration: Configuration) -> dict[str, Any]:
    """Return the configuration with small synthetic volumes, as plain values."""
    volumes: dict[str, Any] = {}
    runs: dict[str, Any] = {}
    for name, run in configuration.runs.items():
        dims = len(run.architecture.input_shape)
        source = configuration.volumes[run.volumes.used[0]]
        voxel_size: Sequence[float] = source.voxel_size or [10.0] * dims
        unit = source.unit
        if run.model is not None:
            description, _ = read_model_description(run.model.path)
            voxel_size, unit = description.voxel_size, description.unit
        network = ConfiguredSizes(run.architecture, run.task.head_kernel)
        block = choose_sizes(network, run.prediction).block
        small = _limit_shape(block)
        sample = [int(size) + 2 * max(8, size // 4) for size in run.architecture.input_shape]
        shapes = {
            f"{name}-train": [max(sizes) for sizes in zip(sample, small)],
            f"{name}-validate": small,
            f"{name}-small": small,
            f"{name}-large": _limit_shape([2 * size for size in block]),
        }
        for seed, (volume, shape) in enumerate(shapes.items(), start=1):
            volumes[volume] = {
                "synthetic": {"shape": shape, "seed": seed, "labels": run.task.synthetic_labels},
                "voxel_size": voxel_size,
                "unit": unit,
            }
        section = run.model_dump(mode="json", by_alias=True)
        train, validate, *test = shapes
        purposes = {"train": [train], "validate": [validate], "test": test}
        if run.is_trained:
            section["training"] |= {"iterations": _ITERATIONS, "sampling": {}}
            section["training"]["checkpoint"]["interval"] = _ITERATIONS
        else:
            del purposes["train"]
            if not run.volumes.validation:
                # The settings of the model are applied as they are.
                del purposes["validate"]
        section["volumes"] = purposes
        # After such a short training the checks would refuse the segmentations.
        section["segmentation"]["checks"] = dict.fromkeys(section["segmentation"]["checks"])
        runs[name] = section
    execution = configuration.execution.model_dump(mode="json")
    execution |= {"shards": 1, "gpus": 0, "scheduler_address": None}
    return {"results": "results", "volumes": volumes, "runs": runs, "execution": execution}


def _limit_shape(shape: Sequence[int]) -> list[int]:
    """Return a shape that is reduced to the largest number of voxels, in multiples of 16."""
    factor = min(1.0, (_MAX_VOXELS / math.prod(shape)) ** (1 / len(shape)))
    return [max(32, int(size * factor) // 16 * 16) for size in shape]
