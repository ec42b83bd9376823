"""Where every result stands."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths of all results; the Snakemake rules and the stages agree through this class.

    Args:
        results: directory of manifests, tables, checkpoints, scores and the report.
        storage: directory or address (``s3://bucket/project``) of the arrays; ``results`` by default.
    """

    results: Path
    storage: str | None = None

    def _array(self, *parts: str) -> str:
        return "/".join([str(self.storage or self.results).rstrip("/"), *parts])

    def volume_container(self, volume: str) -> str:
        """OME-Zarr container of a volume: images ``raw``, ``labels``, ``mask`` in it."""
        return self._array("volumes", f"{volume}.zarr")

    def volume_manifest(self, volume: str) -> Path:
        return self.results / "volumes" / f"{volume}.json"

    def run(self, run: str) -> Path:
        return self.results / run

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

    def plan(self, manifest: Path) -> str:
        """The file that says that the stage which ends in ``manifest`` is planned."""
        return f"{manifest.with_suffix('')}.plan.json"

    def shard(self, manifest: Path) -> str:
        """The files that say that a shard is done, as a pattern of ``{shard}`` and ``{shards}``."""
        return f"{manifest.with_suffix('')}.shard-{{shard}}-of-{{shards}}.json"

    def log(self, name: str) -> str:
        """Log file of a job."""
        return str(self.results / "logs" / f"{name}.log")

    def benchmark(self, name: str) -> str:
        """Times and memory of a job, as Snakemake measures them."""
        return str(self.results / "benchmarks" / f"{name}.tsv")

    def report(self) -> Path:
        return self.results / "report.html"
