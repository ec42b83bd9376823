"""Declaration of a stage: its name, inputs, products, parameters and costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from attacca.config.run import Configuration, RunConfig
from attacca.layout import Layout

PLAN, SHARD, FINISH, RUN = ACTIONS = ("plan", "shard", "finish", "run")
"""Actions of jobs. The rules of a blockwise stage are named ``STAGE_ACTION``, the rule of another stage ``STAGE``."""


class Scope(Enum):
    """Unit of work of a stage: a stage runs once per workflow, per volume, per run, or per run and volume."""

    WORKFLOW = "workflow"
    VOLUME = "volume"
    RUN = "run"
    RUN_AND_VOLUME = "run and volume"


class Blocks(Enum):
    """Blocks in which a stage computes a volume."""

    NONE = "one job without blocks"
    VOLUME_CHUNKS = "chunks of the volume"
    NETWORK = "blocks of the network"
    PREDICTION_CHUNKS = "write blocks of the prediction"
    SEGMENTATION = "blocks of the segmentation"


@dataclass(frozen=True)
class CostModel:
    """Typical memory and time of a stage, measured on machines with two cores and the default configuration.

    Args:
        process_mb: memory of a process before it reads data, in MB; libraries of the network need most of it.
        bytes_per_voxel: memory per voxel: of the voxels that a block reads, or of the volume in a stage without blocks.
        voxels_per_second: voxels that one worker writes per second.
        start_seconds: time of a job before its first block and after its last block.
        block_seconds: time per block to open and record it, without the time for its voxels.
        bytes_per_channel: memory per channel of the prediction, for each voxel that a block reads.
        bytes_per_fragment: memory per fragment that is in memory.
        fragments_at_once: function of a run, the voxels and the fragments of a volume. It returns the number of fragments
            that are in memory at the same time; by default all are.
        voxels_at_once: function of a run and the number of voxels of the volume. It returns the number of voxels that are
            in memory at the same time, for a stage without blocks that reads the volume in parts.
        bytes_at_once: function of a run and the number of voxels of the volume. It returns the memory that one process of a
            stage without blocks needs besides these parts, before or after them.
    """

    process_mb: int
    bytes_per_voxel: float
    voxels_per_second: float
    start_seconds: float
    block_seconds: float = 0.0
    bytes_per_channel: float = 0.0
    bytes_per_fragment: float = 0.0
    fragments_at_once: Callable[[RunConfig, float, float], float] | None = None
    voxels_at_once: Callable[[RunConfig, int], int] | None = None
    bytes_at_once: Callable[[RunConfig, int], float] | None = None


@dataclass(frozen=True)
class ProductSizes:
    """Sizes that decide how many bytes and files a stage stores.

    Args:
        configuration: the configuration.
        run: name of the run; empty for a stage that runs share.
        voxels: voxels of the volume.
        chunks: stored files of an array over the volume: shards in Zarr 3, chunks in Zarr 2.
        blocks: blocks of the stage.
        fragments: fragments of the volume.
        pyramid: factor by which the coarser scales of a pyramid enlarge an array.
        channels: channels of the prediction.
        raw_channels: channels of the raw data.
        raw_bytes: bytes per voxel and channel of the raw data.
        has_labels: whether the volume has labels.
        is_copied: whether the import copies the volume; a Zarr volume can be used in place.
        network_parameters: number of the network's weights.
    """

    configuration: Configuration
    run: str = ""
    voxels: int = 0
    chunks: int = 0
    blocks: int = 0
    fragments: float = 0.0
    pyramid: float = 1.0
    channels: int = 1
    raw_channels: int = 1
    raw_bytes: int = 1
    has_labels: bool = False
    is_copied: bool = True
    network_parameters: int = 0


FILES_PER_STAGE = 18
"""Files of a blockwise stage besides chunks: plan, shards, manifest, logs, benchmark, metadata of the array."""

LABEL_BYTES = 8 * 0.032
"""Typical bytes per voxel of a compressed array of fragments or segments."""


def _no_paths(layout: Layout, run: str, volume: str) -> Sequence[str]:
    return ()


def _no_inputs(configuration: Configuration, run: str, volume: str) -> dict[str, "StageInstance"]:
    return {}


def _no_files(configuration: Configuration, run: str) -> dict[str, Path]:
    return {}


def _segmented_volumes(configuration: Configuration, run: str) -> Sequence[str]:
    return configuration.runs[run].volumes.segmented


def _small_disk(sizes: ProductSizes) -> tuple[float, float]:
    return 1e4, 3


# Stages are equal when their names are: a stage that is started as a module exists twice.
@dataclass(frozen=True)
class Stage:
    """Everything that the workflow, its commands and its estimates need to know of a stage.

    Functions receive the name of a run and the name of a volume; a name is empty where the scope has none.

    Args:
        name: name of the module, of the rules, in ``execution:`` and in manifests.
        title: what the stage computes, in a few words, for tables.
        scope: whether it runs once, per volume, per run, or per run and volume.
        manifest: path of its manifest.
        parameters: section of the configuration that decides what it computes, as plain values.
        cost: its typical memory and time.
        version: number that is raised when the stage computes another result from the same inputs. Results of earlier
            versions are then stale.
        inputs: instances whose results it reads, by their names in its manifest. A name with a dot ends with a volume.
        other_inputs: further manifests that it reads, by name.
        applies: whether a run has the stage.
        volumes: volumes of a run for which it runs.
        arrays: directories or addresses of the arrays that it writes, at full resolution.
        files: other files that it writes, or glob patterns of which one file must exist.
        contents: directories and files with everything that it writes, besides its plan and its manifest; by default
            the images of its arrays, and its files.
        disk: estimate of the bytes and files that it stores.
        blocks: the blocks in which it computes.
        block_setting: key of the configuration that holds the size of its blocks.
        plan_creates_arrays: whether arrays exist from the plan on, or only when the stage is finished.
        manifest_lists_arrays: whether its manifest lists which of the arrays exist and which are used in place.
        manifest_lists_files: whether its manifest lists the files and directories that it wrote, relative to its own
            directory.
        manifest_is_result: whether the manifest itself holds the result.
        is_final: whether users need its results even if no other stage reads them.
        runs_network: whether it runs the network and can use GPUs.
        plans_locally: whether its plan is short enough for the machine that runs Snakemake.
        has_processes: whether its job computes blocks in several processes, although no shard jobs are needed. The job
            computes what is missing after those shards that the configuration names.
        has_scales: whether its images have coarser scales, which its shards build.
        max_threads: largest useful number of threads.
        max_finish_threads: largest useful number of threads of the job that finishes it.
    """

    name: str
    title: str = field(compare=False)
    scope: Scope = field(compare=False)
    manifest: Callable[[Layout, str, str], Path] = field(compare=False)
    parameters: Callable[[Configuration, str, str], dict[str, Any]] = field(compare=False)
    cost: CostModel = field(compare=False)
    version: int = field(default=1, compare=False)
    inputs: Callable[[Configuration, str, str], dict[str, "StageInstance"]] = field(
        default=_no_inputs, compare=False
    )
    other_inputs: Callable[[Configuration, str], dict[str, Path]] = field(default=_no_files, compare=False)
    applies: Callable[[RunConfig], bool] = field(default=lambda run: True, compare=False)
    volumes: Callable[[Configuration, str], Sequence[str]] = field(default=_segmented_volumes, compare=False)
    arrays: Callable[[Layout, str, str], Sequence[str]] = field(default=_no_paths, compare=False)
    files: Callable[[Layout, str, str], Sequence[str]] = field(default=_no_paths, compare=False)
    contents: Callable[[Layout, str, str], Sequence[str]] | None = field(default=None, compare=False)
    disk: Callable[[ProductSizes], tuple[float, float]] = field(default=_small_disk, compare=False)
    blocks: Blocks = field(default=Blocks.NONE, compare=False)
    block_setting: str = field(default="", compare=False)
    plan_creates_arrays: bool = field(default=True, compare=False)
    manifest_lists_arrays: bool = field(default=False, compare=False)
    manifest_lists_files: bool = field(default=False, compare=False)
    manifest_is_result: bool = field(default=False, compare=False)
    is_final: bool = field(default=False, compare=False)
    runs_network: bool = field(default=False, compare=False)
    plans_locally: bool = field(default=True, compare=False)
    has_processes: bool = field(default=False, compare=False)
    has_scales: bool = field(default=False, compare=False)
    max_threads: int | None = field(default=None, compare=False)
    max_finish_threads: int | None = field(default=None, compare=False)

    @property
    def is_blockwise(self) -> bool:
        """True if shard jobs compute it in blocks, between a plan and a finish."""
        return self.blocks is not Blocks.NONE

    def section(self, configuration: Configuration, run: str = "", volume: str = "") -> dict[str, Any]:
        """Return the version and the parameters, from which the rules decide whether a result is stale."""
        return {"version": self.version, **self.parameters(configuration, run, volume)}


@dataclass(frozen=True)
class StageInstance:
    """A stage for one run and volume.

    Args:
        stage: the stage.
        run: name of the run; empty for stages that runs share.
        volume: name of the volume; empty for stages over a whole run.
    """

    stage: Stage
    run: str = ""
    volume: str = ""

    @property
    def label(self) -> str:
        """``run/volume``, as in lines of progress."""
        return "/".join(part for part in (self.run, self.volume) if part)

    @property
    def title(self) -> str:
        """Name of the stage with its run and volume, as in messages: ``predict run/volume``, or ``report``."""
        return f"{self.stage.name} {self.label}".rstrip()

    def inputs(self, configuration: Configuration) -> dict[str, "StageInstance"]:
        """Return the instances whose results this one reads, by their names in its manifest."""
        return self.stage.inputs(configuration, self.run, self.volume)

    def manifest(self, layout: Layout) -> Path:
        """Return the path of the file that is written last."""
        return self.stage.manifest(layout, self.run, self.volume)

    def plan(self, layout: Layout) -> Path:
        """Return the path of the file with the key and the grid of blocks."""
        return layout.plan(self.manifest(layout))

    def first_file(self, layout: Layout) -> Path:
        """Return the path of the first file that is written: the plan, or the manifest without blocks."""
        return self.plan(layout) if self.stage.is_blockwise else self.manifest(layout)

    def shard(self, layout: Layout, index: int, count: int) -> Path:
        """Return the path of the file that a shard writes when it is done."""
        return layout.shard(self.manifest(layout), index, count)

    def finished_shards(self, layout: Layout) -> list[Path]:
        """Return the existing files of shards that are done."""
        manifest = self.manifest(layout)
        return sorted(manifest.parent.glob(f"{manifest.stem}.shard-*.json"))

    def log(self, layout: Layout, part: str = "") -> Path:
        """Return the log of a job; ``part`` is ``_plan``, ``_shard_0_of_1``, ``_finish`` or empty."""
        return layout.log(self.run, self.volume, f"{self.stage.name}{part}")

    def benchmarks(self, layout: Layout) -> list[Path]:
        """Return the benchmarks of the jobs that ran."""
        pattern = layout.benchmark(
            self.run, self.volume, f"{self.stage.name}{'_shard_*' if self.stage.is_blockwise else ''}"
        )
        return sorted(pattern.parent.glob(pattern.name))

    def arrays(self, layout: Layout) -> list[str]:
        """Return directories or addresses of the arrays at full resolution."""
        return list(self.stage.arrays(layout, self.run, self.volume))

    def contents(self, layout: Layout) -> list[str]:
        """Return the directories and files with everything that the stage writes, besides its plan and manifest."""
        if self.stage.contents is not None:
            return list(self.stage.contents(layout, self.run, self.volume))
        return [*(path.removesuffix("/s0") for path in self.arrays(layout)), *self.files(layout)]

    def files(self, layout: Layout) -> list[str]:
        """Return other files that the stage writes, or glob patterns of them."""
        return list(self.stage.files(layout, self.run, self.volume))


def locate_manifest(result: str) -> Callable[[Layout, str, str], Path]:
    """Return the function of a stage's manifest for a named result of a run on a volume."""
    return lambda layout, run, volume: layout.manifest(run, volume, result)


def locate_array(image: str) -> Callable[[Layout, str, str], Sequence[str]]:
    """Return the function of a stage's arrays for one image in the container of a run and volume."""
    return lambda layout, run, volume: [f"{layout.image(run, volume, image)}/s0"]


def list_segmentation_contents(layout: Layout, run: str, volume: str) -> list[str]:
    """Return what the last stage of a run on a volume writes: its image, and the metadata of the container."""
    container = layout.run_container(run, volume)
    groups = (container, f"{container}/labels")
    names = ("zarr.json", ".zattrs", ".zgroup")
    metadata = [f"{group}/{name}" for group in groups for name in names]
    return [layout.image(run, volume, "segmentation"), *metadata]


def estimate_pyramid_disk(sizes: ProductSizes, bytes_per_voxel: float = LABEL_BYTES) -> tuple[float, float]:
    """Return the bytes and files of a blockwise stage that writes one array with a pyramid."""
    return (
        sizes.voxels * bytes_per_voxel * sizes.pyramid,
        sizes.chunks * sizes.pyramid + FILES_PER_STAGE,
    )


def plain_values(model: BaseModel) -> dict[str, Any]:
    """Return a section of the configuration as plain values with the keys of the file, defaults included."""
    return model.model_dump(mode="json", by_alias=True)


def without_paths(value: Any) -> Any:
    """Return plain values without the locations of files, which a moved project changes; digests represent the files.

    >>> without_paths({"raw": {"path": "/data/raw.h5", "dataset": "em"}, "voxel_size": [8, 8, 8]})
    {'raw': {'dataset': 'em'}, 'voxel_size': [8, 8, 8]}
    """
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items() if key != "path"}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    return value


def task_parameters(run: RunConfig, *parts: str) -> dict[str, Any]:
    """Return the task as plain values, without the weights that training starts from.

    Args:
        run: settings of the run.
        parts: names of the task's extensions that decide the result of a stage; a change of others does not rerun it.
    """
    return plain_values(run.task.learned_task.keep_parts(*parts))


def run_parameters(run: RunConfig) -> dict[str, Any]:
    """Return a run as plain values, without settings that change no result."""
    values = {**plain_values(run), "training": run.training.deciding()}
    if not run.is_trained:
        del values["training"]
    return values
