"""A configuration as the Snakemake rules and the commands see it."""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Protocol, get_args

from attacca.arrays.storage import FORMAT_VARIABLE
from attacca.config.execution import PreparedStage
from attacca.config.load import load_configuration
from attacca.config.run import Configuration
from attacca.errors import AttaccaError, ConfigurationError, MissingInputError
from attacca.fingerprint import canonical_json
from attacca.jobs.block_shape import BlockShape
from attacca.jobs.expected_blocks import expect_blocks
from attacca.jobs.extents import Extent, extents_of
from attacca.jobs.job_locks import hold_workflow_lock
from attacca.jobs.run_sources import SOURCES_VARIABLE, list_sources
from attacca.jobs.snakemake_process import PROCESS_VARIABLE, release_stale_lock
from attacca.jobs.stage import Stage, StageInstance, plain_values
from attacca.jobs.stage_main import EXECUTION_VARIABLE, LOADERS_VARIABLE, RESULTS_VARIABLE, STORAGE_VARIABLE
from attacca.layout import Layout
from attacca.segmentation.leaf_size import LEAF_VOXELS
from attacca.stages.provenance import PROVENANCE
from attacca.stages.registry import STAGES, instances
from attacca.stages.report import REPORT
from attacca.workflow.start_record import read_start_record, write_start_record

SHARDS_VARIABLE = "ATTACCA_SHARDS"
"""Environment variable with the numbers of shards that are below the configured ones."""

PREPARED = get_args(PreparedStage)
"""Names of stages of one job that can have shards before it. A volume has at most one for each leaf of the octree."""

ALL_STAGES = (*STAGES, PROVENANCE, REPORT)
"""All stages: those that compute results, and those that describe them."""


class Wildcards(Protocol):
    """Values of the wildcards of a job, as attributes; Snakemake passes them to the functions of rules."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the names and values of the wildcards."""


def read_wildcards(wildcards: Wildcards) -> tuple[str, str]:
    """Return the run and the volume of a job; each is empty if the rule does not have it."""
    return getattr(wildcards, "run", ""), getattr(wildcards, "volume", "")


class Workflow:
    """A configuration with its stages and the paths of its results.

    Args:
        configuration: the checked configuration.
        source: the file that it was read from, and the settings of ``--config``.
        extents: sizes of the volumes by name, as far as they are known.
        shard_counts: numbers of shards that are below the configured ones, by ``STAGE/RUN/VOLUME``; by default derived
            from the extents.
    """

    def __init__(
        self,
        configuration: Configuration,
        source: tuple[Path, Mapping[str, Any]] | None = None,
        extents: Mapping[str, Extent] | None = None,
        shard_counts: Mapping[str, int] | None = None,
    ) -> None:
        self.configuration = configuration
        self.source = source
        self.extents = extents or {}
        self._shard_counts = (
            _limit_shards(configuration, self.extents) if shard_counts is None else shard_counts
        )
        self.layout = Layout(configuration.results, configuration.storage)
        self._expected: dict[StageInstance, BlockShape | None] = {}

    def record_start(self) -> None:
        """Record the configuration beside the results."""
        if self.source is not None:
            write_start_record(self.configuration, *self.source)

    def hold_lock(self, release: Callable[[], object]) -> None:
        """Lock the directory of results until this process ends; end it if another workflow writes there.

        Args:
            release: removes the locks of this Snakemake, which would otherwise stay.
        """
        try:
            hold_workflow_lock(self.configuration.results)
        except AttaccaError as error:
            release()
            _end_with_message(error)

    def release_stale_lock(self) -> None:
        """Remove the locks of a killed Snakemake, so that this start can continue its work."""
        try:
            host = read_start_record(self.configuration.results).host
        except MissingInputError:
            host = ""
        release_stale_lock(self.configuration.results, host)

    def instances(self) -> list[StageInstance]:
        """Return every stage for each run and volume, in the order of computation."""
        return instances(self.configuration)

    def shards(self, stage: Stage, run: str = "", volume: str = "") -> int:
        """Return the number of jobs over which the blocks of a stage are distributed: at most one for each block."""
        configured = self.configuration.execution.get_shards(stage.name)
        return self._shard_counts.get(_shard_key(StageInstance(stage, run, volume)), configured)

    @property
    def shard_counts(self) -> Mapping[str, int]:
        """Numbers of shards that are below the configured ones, by ``STAGE/RUN/VOLUME``."""
        return self._shard_counts

    def expect_blocks(self, instance: StageInstance) -> BlockShape | None:
        """Return the number and size of the blocks of a stage before it is planned, or None if the volume is unknown."""
        extent = self.extents.get(instance.volume)
        if extent is None or not instance.stage.is_blockwise:
            return None
        # Snakemake asks for each of thousands of shards.
        if instance not in self._expected:
            self._expected[instance] = expect_blocks(self.configuration, instance, extent).shape
        return self._expected[instance]

    def threads(self, stage: Stage) -> int:
        """Return the number of processes or threads of a job of a stage; Snakemake limits it to ``--cores``."""
        threads = self.configuration.execution.get_threads(stage.name)
        return threads if stage.max_threads is None else min(threads, stage.max_threads)

    def gpus(self, stage: Stage) -> int:
        """Return the number of GPUs of a job of a stage."""
        return self.configuration.execution.get_gpus(stage.name)

    def section(self, stage: Stage, run: str = "", volume: str = "") -> str:
        """Return the part of the configuration that decides what a stage computes, as canonical JSON."""
        return canonical_json(stage.section(self.configuration, run, volume))

    def read_files(self, stage: Stage, run: str = "", volume: str = "") -> list[tuple[str, Path]]:
        """Return the manifests that a stage reads, with their names; without names if the stage describes results."""
        if stage == PROVENANCE:
            return [("", path) for path in self.run_results(run)]
        if stage == REPORT:
            return [("", path) for path in (*self.all_results(), *self.provenance_files())]
        inputs = stage.inputs(self.configuration, run, volume)
        manifests = [(name, instance.manifest(self.layout)) for name, instance in inputs.items()]
        return [*manifests, *stage.other_inputs(self.configuration, run).items()]

    def run_results(self, run: str) -> list[Path]:
        """Return the last manifests of a run: scores of volumes with labels, exports, or else the segmentation.

        A run without segmented volumes ends with its model file.
        """
        final = [instance for instance in self.instances() if instance.run == run and instance.stage.is_final]
        read = {upstream for instance in final for upstream in instance.inputs(self.configuration).values()}
        return [instance.manifest(self.layout) for instance in final if instance not in read]

    def all_results(self) -> list[Path]:
        """Return ``run_results`` of every run."""
        return [file for run in self.configuration.runs for file in self.run_results(run)]

    def provenance_files(self) -> list[Path]:
        """Return the provenance of every run."""
        return [self.layout.provenance(run) for run in self.configuration.runs]


def open_workflow(
    source: Path,
    configuration_files: list[Path] | tuple[Path, ...],
    overrides: Mapping[str, Any],
    is_main_process: bool,
) -> Workflow:
    """Read the configuration for the Snakefile, and set the environment variables of jobs.

    An error in the configuration ends the process with its message and without a traceback.

    Args:
        source: directory of the package, which jobs find through ``PYTHONPATH``. The file ``config.yaml`` beside it is
            read without ``--configfile``.
        configuration_files: files of ``--configfile``.
        overrides: settings of ``--config``.
        is_main_process: whether this is the Snakemake that starts jobs: it checks the volumes against the
            configuration, and removes the locks of a killed Snakemake.
    """
    extents: Mapping[str, Extent] = {}
    try:
        if len(configuration_files) > 1:
            raise ConfigurationError(
                "found several configuration files: "
                + ", ".join(map(str, configuration_files))
                + "; Attacca reads one file, so that each setting has one value. Several runs fit into one file"
            )
        path = Path(configuration_files[0]) if configuration_files else source.parent / "config.yaml"
        configuration = load_configuration(path, overrides)
        if is_main_process:
            # deferred: jobs read the configuration, too, and do not check it.
            from attacca.preflight.check_configuration import check_configuration

            checked = check_configuration(configuration, path)
            for warning in checked.warnings:
                print(f"warning: {warning}", file=sys.stderr, flush=True)
            extents = extents_of(configuration, checked.plans)
    except AttaccaError as error:
        _end_with_message(error)
    _prepend_path("PYTHONPATH", source)
    _prepend_path("PATH", Path(sys.executable).parent)
    os.environ[PROCESS_VARIABLE] = str(os.getpid())
    os.environ[EXECUTION_VARIABLE] = canonical_json(plain_values(configuration.execution))
    os.environ[RESULTS_VARIABLE] = str(configuration.results)
    os.environ[STORAGE_VARIABLE] = configuration.storage or ""
    os.environ[FORMAT_VARIABLE] = str(configuration.zarr_format)
    os.environ[SOURCES_VARIABLE] = canonical_json(
        {name: plain_values(list_sources(run)) for name, run in configuration.runs.items()}
    )
    os.environ[LOADERS_VARIABLE] = canonical_json(
        {
            name: {"loader_workers": run.training.loader_workers, "prefetch": run.training.prefetch}
            for name, run in configuration.runs.items()
        }
    )
    # Jobs have to expect the same number of shards, and do not examine the volumes again.
    recorded = None if is_main_process else json.loads(os.environ.get(SHARDS_VARIABLE) or "{}")
    workflow = Workflow(configuration, (path, overrides), extents, recorded)
    os.environ[SHARDS_VARIABLE] = canonical_json(workflow.shard_counts)
    if is_main_process:
        try:
            workflow.release_stale_lock()
        except AttaccaError as error:
            _end_with_message(error)
    return workflow


@contextmanager
def end_with_message() -> Iterator[None]:
    """End the process with the message of an error for users, for code of the Snakefile.

    >>> with end_with_message():
    ...     pass
    """
    try:
        yield
    except AttaccaError as error:
        _end_with_message(error)


def _end_with_message(error: AttaccaError) -> NoReturn:
    """End the process: Snakemake would print a traceback of the Snakefile for any exception."""
    print(f"\n{error}\n", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(error.exit_code)


def _limit_shards(configuration: Configuration, extents: Mapping[str, Extent]) -> dict[str, int]:
    """Return the numbers of shards of those stages and volumes that have fewer blocks than shards are configured."""
    counts = {}
    for instance in instances(configuration):
        configured = configuration.execution.get_shards(instance.stage.name)
        if configured > 1 and instance.volume in extents:
            extent = extents[instance.volume]
            blocks = configured
            if instance.stage.is_blockwise:
                blocks = expect_blocks(configuration, instance, extent).count
            elif instance.stage.name in PREPARED and configuration.execution.agglomeration_blocks is None:
                blocks = math.ceil(extent.voxels / LEAF_VOXELS)
            if blocks < configured:
                counts[_shard_key(instance)] = max(1, blocks)
    return counts


def _shard_key(instance: StageInstance) -> str:
    return f"{instance.stage.name}/{instance.run}/{instance.volume}"


def _prepend_path(variable: str, directory: Path) -> None:
    """Put a directory at the start of a search path, once."""
    parts = os.environ.get(variable, "").split(os.pathsep)
    rest = [part for part in parts if part and part != str(directory)]
    os.environ[variable] = os.pathsep.join([str(directory), *rest])
