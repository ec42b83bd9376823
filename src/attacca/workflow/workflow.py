"""What the Snakemake rules need of a configuration: sections as canonical JSON, shards, threads, paths."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from attacca.config.load import load_configuration
from attacca.config.run import Configuration, RunConfig
from attacca.costs import resources
from attacca.costs.provenance_cost import THREADS as DIGESTING_THREADS
from attacca.errors import AttaccaError, ConfigurationError, MissingInputError
from attacca.fingerprint import canonical_json, digest_file
from attacca.jobs.command import EXECUTION_VARIABLE, LOADERS_VARIABLE, RESULTS_VARIABLE, STORAGE_VARIABLE
from attacca.jobs.running_jobs import workflow_runs
from attacca.jobs.snakemake_process import PROCESS_VARIABLE, release_stale_lock
from attacca.layout import Layout
from attacca.workflow.catalogue import CATALOGUE
from attacca.workflow.record import read_record, write_record


class Workflow:
    """A configuration as the rules see it.

    Args:
        configuration: the checked configuration.
        source: the file that it was read from, and what ``--config`` set.
    """

    def __init__(
        self, configuration: Configuration, source: tuple[Path, Mapping[str, Any]] | None = None
    ) -> None:
        self.configuration = configuration
        self.source = source
        self.layout = Layout(configuration.results, configuration.storage)

    @property
    def agglomerated_runs(self) -> list[str]:
        """Runs that segment through a graph of fragments."""
        return [name for name, run in self.configuration.runs.items() if run.task.agglomerates]

    @property
    def classified_runs(self) -> list[str]:
        """Runs whose post-processor decides each voxel by itself."""
        return [name for name in self.configuration.runs if name not in self.agglomerated_runs]

    def record_start(self) -> None:
        """Note beside the results what this start was asked to do."""
        if self.source is not None:
            write_record(self.configuration, *self.source)

    def show_that_it_runs(self) -> None:
        """Let ``attacca status`` see, until this process ends, that it works on the results."""
        workflow_runs(self.configuration.results)

    def release_stale_lock(self) -> None:
        """Let this start go on where the last one was killed."""
        try:
            host = read_record(self.configuration.results).host
        except MissingInputError:
            host = ""
        release_stale_lock(self.configuration.results, host)

    def shards(self, stage: str) -> int:
        """Number of jobs over which the blocks of a stage are spread."""
        return self.configuration.execution.get_shards(stage)

    def threads(self, stage: str) -> int:
        """Processes or threads that a job of a stage may use; Snakemake caps it at ``--cores``."""
        wanted = self.configuration.execution.get_threads(stage)
        return min(wanted, DIGESTING_THREADS) if stage == "provenance" else wanted

    def memory(self, stage: str) -> Callable[..., int]:
        """Snakemake resource: megabytes for a job of a stage; more at each further attempt."""
        return resources.memory(self.configuration, stage)

    def runtime(self, stage: str) -> Callable[..., int]:
        """Snakemake resource: minutes for a job of a stage; more at each further attempt."""
        return resources.runtime(self.configuration, stage)

    def gpus(self, stage: str) -> int:
        """Snakemake resource: GPUs for a job of a stage."""
        return self.configuration.execution.get_gpus(stage)

    def training_volumes(self, run: str) -> list[str]:
        """Manifests of the volumes that a run's training reads."""
        return self._manifests(self.layout.volume_manifest, self._learnt(run))

    def training_targets(self, run: str) -> list[str]:
        """Manifests of the targets that a run's training reads."""
        return self._manifests(lambda volume: self.layout.targets_manifest(run, volume), self._learnt(run))

    def teachers(self, run: str) -> list[str]:
        """Training manifests of those runs of this configuration whose checkpoints a run starts from."""
        path = self._initial_weights(run)
        others = [other for other in self.configuration.runs if other != run]
        return [
            str(self.layout.training_manifest(other))
            for other in others
            if path is not None and path.is_relative_to(self.layout.training(other))
        ]

    def _initial_weights(self, run: str) -> Path | None:
        return self.configuration.runs[run].task.initial_weights

    def validation_volumes(self, run: str) -> list[str]:
        """Manifests of the volumes on which a run's parameters are chosen."""
        return self._manifests(self.layout.volume_manifest, self.configuration.runs[run].volumes.validation)

    def validation_manifests(self, run: str, name: str) -> list[str]:
        """Manifests of a result (``prediction``, say) for the volumes on which a run's parameters are chosen."""
        names = self.configuration.runs[run].volumes.validation
        return self._manifests(lambda volume: self.layout.manifest(run, volume, name), names)

    def run_results(self, run: str) -> list[str]:
        """What a run ends with: a score for each volume with labels, a segmentation for each other."""
        files = []
        for volume in self.configuration.runs[run].volumes.segmented:
            if self.configuration.volumes[volume].has_labels:
                files.append(str(self.layout.scores(run, volume)))
            else:
                files.append(str(self.layout.manifest(run, volume, "segmentation")))
        return files or [str(self.layout.training_manifest(run))]

    def all_results(self) -> list[str]:
        """``run_results`` of every run."""
        return [file for run in self.configuration.runs for file in self.run_results(run)]

    def shard_files(self, manifest: Path, stage: str) -> list[str]:
        """The files of all shards of a stage, which ends in ``manifest``."""
        count = self.shards(stage)
        stem = manifest.with_suffix("")
        return [f"{stem}.shard-{shard}-of-{count}.json" for shard in range(count)]

    def section(self, stage: str, run: str = "", volume: str = "") -> str:
        """The part of the configuration that decides what a stage computes, as canonical JSON."""
        section = getattr(self, f"_{stage}_section")(run, volume)
        known = {item.name: item.version for item in CATALOGUE}
        return canonical_json({"version": known.get(stage, 1), **section})

    def _learnt(self, run: str) -> list[str]:
        volumes = self.configuration.runs[run].volumes
        return [*volumes.train, *volumes.validation]

    @staticmethod
    def _manifests(place: Callable[[str], Path], names: Iterable[str]) -> list[str]:
        return [str(place(name)) for name in names]

    def _volume_section(self, run: str, volume: str) -> dict[str, Any]:
        from attacca.volumes import compute_content_fingerprint

        config = self.configuration.volumes[volume]
        return {"volume": dump(config), "source": compute_content_fingerprint(config)}

    def _targets_section(self, run: str, volume: str) -> dict[str, Any]:
        return {"task": _task(self.configuration.runs[run])}

    def _train_section(self, run: str, volume: str) -> dict[str, Any]:
        config = self.configuration.runs[run]
        scored: dict[str, Any] = {}
        if config.training.validation.segmentation_interval is not None:
            # Checkpoints are measured by their segmentations, so how these are made decides which is best.
            scored["evaluation"] = dump(config.evaluation)
            if run in self.agglomerated_runs:
                scored["segmentation"] = dump(config.segmentation)
        weights = self._initial_weights(run)
        if weights is not None and not weights.is_relative_to(self.layout.results) and weights.is_file():
            # Another file under the same name teaches something else.
            scored["weights_digest"] = digest_file(weights)
        return {
            **scored,
            "task": dump(config.task),
            "architecture": dump(config.architecture),
            "training": config.training.deciding(),
            "volumes": {"train": config.volumes.train, "validate": config.volumes.validation},
            "seed": config.seed,
        }

    def _predict_section(self, run: str, volume: str) -> dict[str, Any]:
        return {"prediction": dump(self.configuration.runs[run].prediction)}

    def _tune_section(self, run: str, volume: str) -> dict[str, Any]:
        config = self.configuration.runs[run]
        section = {"task": _task(config), "evaluation": dump(config.evaluation)}
        if run in self.agglomerated_runs:
            section["segmentation"] = dump(config.segmentation)
        return section

    def _fragments_section(self, run: str, volume: str) -> dict[str, Any]:
        return {"segmentation": _blocks(self.configuration.runs[run])}

    _graph_section = _agglomerate_section = _relabel_section = _fragments_section

    def _classes_section(self, run: str, volume: str) -> dict[str, Any]:
        return {"task": _task(self.configuration.runs[run])}

    def _evaluate_section(self, run: str, volume: str) -> dict[str, Any]:
        config = self.configuration.runs[run]
        return {"task": _task(config), "evaluation": dump(config.evaluation)}

    def _provenance_section(self, run: str, volume: str) -> dict[str, Any]:
        config = self.configuration.runs[run]
        names = [*config.volumes.train, *config.volumes.segmented]
        return {
            "run": run_section(config),
            "volumes": {name: dump(self.configuration.volumes[name]) for name in names},
        }

    def _report_section(self, run: str, volume: str) -> dict[str, Any]:
        configuration = self.configuration
        return {
            "runs": {name: run_section(config) for name, config in configuration.runs.items()},
            "volumes": {name: dump(config) for name, config in configuration.volumes.items()},
        }


def dump(model: BaseModel) -> dict[str, Any]:
    """A section as plain values with the file's own keys, defaults included."""
    return model.model_dump(mode="json", by_alias=True)


def run_section(run: RunConfig) -> dict[str, Any]:
    """A run as plain values, without what changes no result."""
    return {**dump(run), "training": run.training.deciding()}


def _task(run: RunConfig) -> dict[str, Any]:
    """The task as targets and post-processing see it: where training starts from is no part of it."""
    return dump(run.task.learned_task)


def _blocks(run: RunConfig) -> dict[str, Any]:
    """How a volume is cut into blocks; what is done in them was chosen by the tuner and comes from its manifest."""
    section = dump(run.segmentation)
    return {key: section[key] for key in ("block_size", "mask", "checks")}


def open_workflow(
    source: Path,
    configuration_files: list[Path] | tuple[Path, ...],
    overrides: Mapping[str, Any],
    inspect_volumes: bool,
) -> Workflow:
    """Read the configuration for the Snakefile and set what jobs find in their environment.

    A problem in the configuration ends the process with its message and without a traceback.

    Args:
        source: directory that holds the package; jobs find it through ``PYTHONPATH``, installed or not. Beside it
            stands ``config.yaml``, which is read when no ``--configfile`` was given.
        configuration_files: what ``--configfile`` names.
        overrides: what ``--config`` sets.
        inspect_volumes: open the volumes, and check that they are what the configuration says.
    """
    try:
        if len(configuration_files) > 1:
            raise ConfigurationError(
                "found several configuration files: "
                + ", ".join(map(str, configuration_files))
                + "; Attacca reads one, so that nobody has to guess which value counts. Several runs fit into one file"
            )
        path = Path(configuration_files[0]) if configuration_files else source.parent / "config.yaml"
        configuration = load_configuration(path, overrides)
        if inspect_volumes:
            from attacca.preflight.check_configuration import check_configuration

            for warning in check_configuration(configuration, path).warnings:
                print(f"warning: {warning}", file=sys.stderr, flush=True)
    except AttaccaError as error:
        print(f"\n{error}\n", file=sys.stderr, flush=True)
        # Snakemake would print a traceback of the Snakefile for any exception.
        sys.stdout.flush()
        os._exit(error.exit_code)
    _put_first("PYTHONPATH", source)
    _put_first("PATH", Path(sys.executable).parent)
    os.environ[PROCESS_VARIABLE] = str(os.getpid())
    os.environ[EXECUTION_VARIABLE] = canonical_json(dump(configuration.execution))
    os.environ[RESULTS_VARIABLE] = str(configuration.results)
    os.environ[STORAGE_VARIABLE] = configuration.storage or ""
    os.environ[LOADERS_VARIABLE] = canonical_json(
        {
            name: {"loader_workers": run.training.loader_workers, "prefetch": run.training.prefetch}
            for name, run in configuration.runs.items()
        }
    )
    return Workflow(configuration, (path, overrides))


def _put_first(variable: str, directory: Path) -> None:
    """Put a directory in front of a search path, once."""
    rest = [
        part for part in os.environ.get(variable, "").split(os.pathsep) if part and part != str(directory)
    ]
    os.environ[variable] = os.pathsep.join([str(directory), *rest])
