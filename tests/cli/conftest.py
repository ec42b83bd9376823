"""A small configuration, and results as an interrupted workflow would leave them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from funlib.geometry import Roi

from attacca.atomic import write_json
from attacca.blockwise import BlockGrid, Ledger
from attacca.config.load import load_configuration
from attacca.stages.catalogue import StageInstance, entry, inputs_of, instances
from attacca.stages.manifest import Manifest, read_manifest
from attacca.stages.workflow import Workflow

NEIGHBORHOOD = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def configuration_values(**execution: Any) -> dict[str, Any]:
    """A run on three small synthetic volumes."""
    return {
        "results": "results",
        "volumes": {
            name: {"synthetic": {"shape": [48, 48, 48], "seed": seed}}
            for seed, name in enumerate(("cube-a", "cube-b", "cube-c"))
        },
        "runs": {
            "first": {
                "task": {"type": "affinities", "neighborhood": NEIGHBORHOOD},
                "architecture": {"input_shape": [32, 32, 32], "num_fmaps": 4},
                "training": {"iterations": 10},
                "volumes": {"train": ["cube-a"], "validate": ["cube-b"], "test": ["cube-c"]},
                "segmentation": {"block_size": [32, 32, 32]},
            }
        },
        "execution": execution,
    }


class Project:
    """A configuration file and its results.

    Args:
        directory: holds ``config.yaml``.
        values: the configuration.
    """

    def __init__(self, directory: Path, values: dict[str, Any]) -> None:
        self.path = directory / "config.yaml"
        self.results = directory / "results"
        self.write(values)

    def write(self, values: dict[str, Any]) -> None:
        """Write the configuration and note it as started."""
        self.path.write_text(yaml.safe_dump(values, sort_keys=False))
        self.workflow = Workflow(load_configuration(self.path), (self.path, {}))
        self.workflow.record_start()

    def instance(self, stage: str, run: str = "", volume: str = "") -> StageInstance:
        """A stage of the configuration."""
        return StageInstance(entry(stage), run, volume)

    def key(self, instance: StageInstance) -> Manifest:
        """The manifest, without a result, that the stage would have now."""
        section = json.loads(self.workflow.section(instance.stage.name, instance.run, instance.volume))
        inputs = {
            name: read_manifest(above.manifest(self.workflow.layout)).fingerprint
            for name, above in inputs_of(instance, self.workflow).items()
        }
        return Manifest(instance.stage.name, 1, section, inputs)

    def finish(self, *wanted: StageInstance) -> None:
        """Write the manifests of stages, and the plans of those with blocks."""
        for instance in wanted:
            key = self.key(instance)
            if instance.stage.blockwise:
                self.plan(instance)
            key.write(instance.manifest(self.workflow.layout))

    def finish_until(self, last: StageInstance) -> None:
        """Finish every stage before ``last``."""
        for instance in instances(self.workflow):
            if instance == last:
                return
            self.finish(instance)

    def plan(self, instance: StageInstance) -> BlockGrid:
        """Make a stage's array and its plan: 27 blocks of 16 x 16 x 16 voxels."""
        grid = BlockGrid(Roi((0, 0, 0), (48, 48, 48)), (16, 16, 16), (1, 1, 1))
        directory = instance.arrays(self.workflow.layout)[0]
        Path(directory).parent.mkdir(parents=True, exist_ok=True)
        zarr.open(directory, mode="a", shape=(48, 48, 48), chunks=(16, 16, 16), dtype=np.uint8)
        plan = {"stage": instance.stage.name, "blocks": len(grid), "grid": json.loads(grid.to_json())}
        write_json(instance.plan(self.workflow.layout), plan)
        return grid

    def ledger(self, instance: StageInstance) -> Ledger:
        """The ledger that the stage would write now."""
        grid = self.plan(instance)
        directory = instance.arrays(self.workflow.layout)[0]
        return Ledger(directory, self.key(instance).key_parts(), len(grid))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, configuration_values(shards={"predict": 3, "default": 1}))


@pytest.fixture
def values() -> Callable[..., dict[str, Any]]:
    """Makes the configuration, with the given execution settings."""
    return configuration_values
