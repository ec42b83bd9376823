"""Paths of results that more than one room reads or writes."""

from dataclasses import dataclass
from pathlib import Path

_VOLUMES, _TARGETS, _TRAINING, _LOGS, _BENCHMARKS, _MACHINES, _REPORT = (
    "volumes",
    "targets",
    "training",
    "logs",
    "benchmarks",
    "machines",
    "report",
)

VOLUME_LABELS = {"labels": "ground_truth", "mask": "mask"}
"""Label images of a volume, and their names below ``labels`` in its container."""

VOLUME_IMAGES = {"raw": "raw", **{image: f"labels/{name}" for image, name in VOLUME_LABELS.items()}}
"""Images of a volume, and their groups in its container: OME-Zarr keeps label images in the group ``labels``."""

RUN_LABELS = ("segmentation", "fragments")
"""Label images of a run, below ``labels`` in the container of its results on a volume."""

RESERVED_NAMES = frozenset({_VOLUMES, _TARGETS, _TRAINING, _LOGS, _BENCHMARKS, _MACHINES, _REPORT})
"""Names that neither runs nor volumes may have: directories of that name hold other results."""

BEST_CHECKPOINT = "best.json"
"""Name of the record of the best checkpoint, in the directory of checkpoints."""


def checkpoint_name(iteration: int) -> str:
    """Return the file name of the checkpoint after ``iteration`` optimizer steps.

    >>> checkpoint_name(250)
    'iteration_00000250.pt'
    """
    return f"iteration_{iteration:08d}.pt"


@dataclass(frozen=True)
class TrainingFiles:
    """Paths of the files of one training.

    Args:
        directory: directory of the training.
    """

    directory: Path

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints."""
        return self.directory / "checkpoints"

    @property
    def best(self) -> Path:
        """Record of the best checkpoint."""
        return self.checkpoints / BEST_CHECKPOINT

    @property
    def recovery(self) -> Path:
        """State between two checkpoints, from which a killed training resumes; deleted at the next checkpoint."""
        return self.directory / "recovery.pt"

    @property
    def metrics(self) -> Path:
        """Table of loss and learning rate by iteration."""
        return self.directory / "metrics.tsv"

    @property
    def timing(self) -> Path:
        """Table of the speed of the training."""
        return self.directory / "timing.tsv"

    @property
    def validation(self) -> Path:
        """Table of validation scores by iteration."""
        return self.directory / "validation.tsv"

    @property
    def snapshots(self) -> Path:
        """Directory of stored batches."""
        return self.directory / "snapshots"

    @property
    def initial_weights(self) -> Path:
        """Summary of the weights from which the training starts."""
        return self.directory / "initial_weights.json"

    @property
    def machines(self) -> Path:
        """Machines on which the network was trained. The file is moved and copied together with the training."""
        return self.directory / "machines.json"


@dataclass(frozen=True)
class Layout:
    """Paths of results, for the Snakemake rules, the stages and the commands.

    A path may be a pattern of a rule: wildcards such as ``{run}`` are names, too.

    Args:
        results: directory of manifests, tables, checkpoints, scores and the report.
        storage: directory or address (``s3://bucket/project``) of the arrays; ``results`` by default.

    Example:
        >>> layout = Layout(Path("results"), "s3://bucket/project")
        >>> layout.image("affinities", "cube", "prediction")
        's3://bucket/project/affinities/cube.zarr/prediction'
        >>> layout.plan(layout.manifest("affinities", "cube", "prediction")).as_posix()
        'results/affinities/cube/prediction.plan.json'
    """

    results: Path
    storage: str | None = None

    # Arrays, in the directory of results or in an object store.

    @property
    def array_root(self) -> str:
        """Directory or address of the arrays, without a slash at the end."""
        return str(self.storage or self.results).rstrip("/")

    def _array(self, *parts: str) -> str:
        return "/".join([self.array_root, *parts])

    def volume_container(self, volume: str) -> str:
        """OME-Zarr container of a volume: the image ``raw``, and label images below ``labels``."""
        return self._array(_VOLUMES, f"{volume}.zarr")

    def volume_image(self, volume: str, name: str) -> str:
        """OME-Zarr image of a volume: ``raw``, ``labels`` or ``mask``."""
        return f"{self.volume_container(volume)}/{VOLUME_IMAGES[name]}"

    def targets_container(self, run: str, volume: str) -> str:
        """OME-Zarr container with the images ``target`` and ``weight``."""
        return self._array(run, _TARGETS, f"{volume}.zarr")

    def image(self, run: str, volume: str, name: str) -> str:
        """OME-Zarr image of a result: ``prediction``, ``fragments`` or ``segmentation``."""
        group = name if name == "prediction" else f"labels/{name}"
        return f"{self.run_container(run, volume)}/{group}"

    def run_container(self, run: str, volume: str) -> str:
        """OME-Zarr container of a run's results on a volume: the prediction, and label images below ``labels``."""
        return self._array(run, f"{volume}.zarr")

    # Results of a run.

    def run(self, run: str) -> Path:
        """Directory of a run."""
        return self.results / run

    def run_record(self, run: str) -> Path:
        """Settings of a run at the last start of the workflow."""
        return self.run(run) / "run.json"

    def training(self, run: str) -> Path:
        """Directory of a training."""
        return self.run(run) / _TRAINING

    def training_files(self, run: str) -> TrainingFiles:
        """Files of a training."""
        return TrainingFiles(self.training(run))

    def checkpoints(self, run: str) -> Path:
        """Directory of a training's checkpoints."""
        return self.training_files(run).checkpoints

    def graph(self, run: str, volume: str) -> Path:
        """Directory of the columns of the region adjacency graph."""
        return self.run(run) / volume / "graph"

    def agglomeration(self, run: str, volume: str) -> Path:
        """Directory of the parts of an agglomeration."""
        return self.run(run) / volume / "agglomeration"

    def look_up_table(self, run: str, volume: str) -> Path:
        """Table from fragment ids to segment ids."""
        return self.run(run) / volume / "look_up_table.npy"

    def look_up_table_leaves(self, run: str, volume: str) -> Path:
        """Leaves of the octree, to which the rows of the look-up table belong."""
        return self.look_up_table(run, volume).with_suffix(".leaves.json")

    def evaluation(self, run: str, volume: str) -> Path:
        """Directory of the tables from which the scores of a volume are computed."""
        return self.run(run) / volume / "evaluation"

    def objects(self, run: str, volume: str) -> Path:
        """Directory of the tables from which the table of a volume's objects is computed."""
        return self.run(run) / volume / "objects"

    def object_table(self, run: str, volume: str) -> Path:
        """Table of the objects of a segmentation: volume, surface, centroid, extent."""
        return self.run(run) / volume / "objects.tsv"

    def export(self, run: str, volume: str) -> Path:
        """Directory of a segmentation in formats of other programs."""
        return self.run(run) / volume / "export"

    # Manifests, and what jobs write beside them.

    def volume_manifest(self, volume: str) -> Path:
        """Manifest of a volume."""
        return self.results / _VOLUMES / f"{volume}.json"

    def volume_manifests(self) -> list[Path]:
        """Return the manifests of all imported volumes, by name; plans and marks of shards have dots in their names."""
        return sorted(path for path in (self.results / _VOLUMES).glob("*.json") if "." not in path.stem)

    def targets_manifest(self, run: str, volume: str) -> Path:
        """Manifest of targets and weights."""
        return self.run(run) / _TARGETS / f"{volume}.json"

    def class_counts(self, run: str, volume: str) -> Path:
        """Class counts of a volume, from which weights are computed."""
        return self.run(run) / _TARGETS / f"{volume}.counts.json"

    def training_manifest(self, run: str) -> Path:
        """Manifest of a training."""
        return self.run(run) / "training.json"

    def tuning(self, run: str) -> Path:
        """Manifest with the settings of the segmentation that were chosen on validation volumes."""
        return self.run(run) / "tuning.json"

    def model_file(self, run: str) -> Path:
        """Trained network of a run with its chosen settings, in one portable file."""
        return self.run(run) / "model.zip"

    def model_manifest(self, run: str) -> Path:
        """Manifest of the model file."""
        return self.run(run) / "model.json"

    def manifest(self, run: str, volume: str, name: str) -> Path:
        """Manifest of a result of a run on a volume."""
        return self.run(run) / volume / f"{name}.json"

    def scores(self, run: str, volume: str) -> Path:
        """Scores of a segmentation."""
        return self.manifest(run, volume, "scores")

    def provenance(self, run: str) -> Path:
        """Provenance of the results of a run."""
        return self.run(run) / "provenance.json"

    def plan(self, manifest: Path) -> Path:
        """Plan of the stage that ends with ``manifest``: its key and its grid of blocks."""
        return manifest.with_suffix(".plan.json")

    def shard(self, manifest: Path, shard: int | str = "{shard}", shards: int | str = "{shards}") -> Path:
        """File that a shard of the stage that ends with ``manifest`` writes when its blocks are done."""
        return manifest.with_suffix(f".shard-{shard}-of-{shards}.json")

    def plan_of_output(self, output: Path) -> Path:
        """Plan of the stage that writes ``output``: a plan, the file of a shard, or a manifest."""
        stem = output.name.removesuffix(".json").removesuffix(".plan").split(".shard-")[0]
        return output.with_name(f"{stem}.plan.json")

    def remote_ledgers(self, manifest: Path, stage: str, volume: str) -> Path:
        """Directory of the ledger of an array in an object store."""
        # Manifests of several volumes may be in one directory.
        return manifest.parent / ".ledgers" / stage / volume

    # Files of the whole workflow.

    def log(self, *names: str) -> Path:
        """Log file of a job."""
        return self._with_suffix(_LOGS, names, ".log")

    def benchmark(self, *names: str) -> Path:
        """Table of the time and memory of a job, measured by Snakemake."""
        return self._with_suffix(_BENCHMARKS, names, ".tsv")

    def benchmarks(self, run: str, volume: str, rule: str) -> list[Path]:
        """Return the benchmarks of the jobs of one rule for a volume."""
        pattern = self.benchmark(run, volume, f"{rule}*")
        return sorted(pattern.parent.glob(pattern.name))

    def machines(self, run: str, volume: str) -> Path:
        """Directory of notes of the machines that computed a prediction."""
        return self.results / _MACHINES / run / volume

    def report(self) -> Path:
        """Page of all results."""
        return self.results / f"{_REPORT}.html"

    def scores_table(self) -> Path:
        """Table of the scores of all runs."""
        return self.results / "scores.tsv"

    def start_record(self) -> Path:
        """Record of the last start of the workflow."""
        return self.results / "workflow.json"

    def workflow_lock(self) -> Path:
        """File that a running workflow locks."""
        return self.results / ".workflow.lock"

    def _with_suffix(self, directory: str, names: tuple[str, ...], suffix: str) -> Path:
        *directories, name = (name for name in names if name)
        return self.results.joinpath(directory, *directories, f"{name}{suffix}")
