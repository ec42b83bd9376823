"""Paths of all results."""

from dataclasses import dataclass
from pathlib import Path

RESERVED_NAMES = frozenset({"volumes", "targets", "training", "report", "logs", "benchmarks", "machines"})
"""Directories that Attacca itself makes beside those named after runs and volumes."""


@dataclass(frozen=True)
class Layout:
    """Paths of all results. The Snakemake rules, the stages and the report agree through this class.

    Args:
        results: directory of manifests, tables, checkpoints, scores and the report.
        storage: directory or address (``s3://bucket/project``) of the arrays; ``results`` by default.

    Example:
        >>> layout = Layout(Path("results"), "s3://bucket/project")
        >>> layout.image("neurites", "tissue-test", "prediction")
        's3://bucket/project/neurites/tissue-test/prediction.zarr'
        >>> layout.manifest("neurites", "tissue-test", "prediction").as_posix()
        'results/neurites/tissue-test/prediction.json'
    """

    results: Path
    storage: str | None = None

    @property
    def array_root(self) -> str:
        """Directory or address of the arrays, without a slash at the end."""
        return str(self.storage or self.results).rstrip("/")

    def _array(self, *parts: str) -> str:
        return "/".join([self.array_root, *parts])

    # Volumes, shared by runs.

    def volume_container(self, volume: str) -> str:
        """OME-Zarr container of a volume: images ``raw``, ``labels``, ``mask`` in it."""
        return self._array("volumes", f"{volume}.zarr")

    def volume_manifest(self, volume: str) -> Path:
        return self.results / "volumes" / f"{volume}.json"

    def volume_manifests(self) -> list[Path]:
        """Manifests of all imported volumes, by name."""
        return sorted((self.results / "volumes").glob("*.json"))

    # Runs.

    def run(self, run: str) -> Path:
        return self.results / run

    def run_record(self, run: str) -> Path:
        """Section of the configuration with which the run was last started."""
        return self.run(run) / "run.json"

    def targets_container(self, run: str, volume: str) -> str:
        """OME-Zarr container with the images ``target`` and ``weight``."""
        return self._array(run, "targets", f"{volume}.zarr")

    def targets_manifest(self, run: str, volume: str) -> Path:
        return self.run(run) / "targets" / f"{volume}.json"

    def training(self, run: str) -> Path:
        return self.run(run) / "training"

    def training_manifest(self, run: str) -> Path:
        return self.run(run) / "training.json"

    def image(self, run: str, volume: str, name: str) -> str:
        """OME-Zarr image of a result: ``prediction``, ``fragments`` or ``segmentation``."""
        return self._array(run, volume, f"{name}.zarr")

    def manifest(self, run: str, volume: str, name: str) -> Path:
        return self.run(run) / volume / f"{name}.json"

    def graph(self, run: str, volume: str) -> Path:
        """Directory of the region adjacency graph's columns."""
        return self.run(run) / volume / "graph"

    def look_up_table(self, run: str, volume: str) -> Path:
        """Table from fragment ids to segment ids."""
        return self.run(run) / volume / "look_up_table.npy"

    def tuning(self, run: str) -> Path:
        return self.run(run) / "tuning.json"

    def scores(self, run: str, volume: str) -> Path:
        return self.run(run) / volume / "scores.json"

    def provenance(self, run: str) -> Path:
        return self.run(run) / "provenance.json"

    # Marks and records of single jobs.

    def plan(self, manifest: Path) -> str:
        """File that marks the stage which ends in ``manifest`` as planned."""
        return f"{manifest.with_suffix('')}.plan.json"

    def shard(self, manifest: Path) -> str:
        """Files that mark shards as done, as a pattern of ``{shard}`` and ``{shards}``."""
        return f"{manifest.with_suffix('')}.shard-{{shard}}-of-{{shards}}.json"

    def log(self, name: str) -> str:
        """Log file of a job."""
        return str(self.results / "logs" / f"{name}.log")

    def benchmark(self, name: str) -> str:
        """Times and memory of a job, as Snakemake measures them."""
        return str(self.results / "benchmarks" / f"{name}.tsv")

    def benchmarks(self, run: str, volume: str, rule: str) -> list[Path]:
        """Benchmarks of the jobs of one rule for a volume."""
        return sorted((self.results / "benchmarks" / run / volume).glob(f"{rule}*.tsv"))

    # All runs.

    def start_record(self) -> Path:
        """Record of the last start of the workflow."""
        return self.results / "workflow.json"

    def report(self) -> Path:
        return self.results / "report.html"

    def scores_table(self) -> Path:
        """All scores of all runs as tab-separated text."""
        return self.results / "scores.tsv"
