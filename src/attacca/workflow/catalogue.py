"""All stages in the order in which they run: their names, what they write, which arrays they fill."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attacca.layout import Layout

if TYPE_CHECKING:
    from attacca.workflow.workflow import Workflow


@dataclass(frozen=True)
class StageEntry:
    """One stage as the commands around the workflow see it.

    Args:
        name: name of the stage, as it stands in ``execution:`` and in its manifests.
        scope: ``volume`` where runs share it, ``run`` where it has no volume, ``both`` otherwise.
        blockwise: whether it is computed in blocks by shard jobs, between a plan and a finish.
        what: what it does, in a few words.
        version: raised by developers whenever the stage computes something else from the same inputs, so that what
            it computed before counts as stale.
    """

    name: str
    scope: str
    blockwise: bool
    what: str
    version: int = 1


CATALOGUE = (
    StageEntry("volume", "volume", True, "import or synthesis"),
    StageEntry("targets", "both", True, "targets and weights"),
    StageEntry("train", "run", False, "training"),
    StageEntry("predict", "both", True, "prediction"),
    StageEntry("tune", "run", False, "choice of parameters"),
    StageEntry("fragments", "both", True, "fragments"),
    StageEntry("graph", "both", True, "region adjacency graph"),
    StageEntry("agglomerate", "both", False, "agglomeration"),
    StageEntry("relabel", "both", True, "segmentation"),
    StageEntry("classes", "both", True, "segmentation"),
    StageEntry("evaluate", "both", False, "scores"),
)
"""Every stage; a run has ``fragments`` to ``relabel`` or ``classes``, not both."""

PROVENANCE = StageEntry("provenance", "run", False, "digests of all results")
"""What is computed from all stages of a run, and is none of them."""

_BY_NAME = {entry.name: entry for entry in CATALOGUE}
_SEGMENTING = ("fragments", "graph", "agglomerate", "relabel")


def entry(name: str) -> StageEntry:
    """The stage of a name; of ``predict_finish`` it is ``predict``."""
    return _BY_NAME[name.removesuffix("_finish").removesuffix("_plan").removesuffix("_shard")]


@dataclass(frozen=True)
class StageInstance:
    """A stage for one run and volume.

    Args:
        stage: the stage.
        run: name of the run; empty for stages that runs share.
        volume: name of the volume; empty for stages over a whole run.
    """

    stage: StageEntry
    run: str = ""
    volume: str = ""

    @property
    def label(self) -> str:
        """``run/volume``, as it stands in progress lines."""
        return "/".join(part for part in (self.run, self.volume) if part)

    def manifest(self, layout: Layout) -> Path:
        """The file that tells that the stage is done."""
        name = self.stage.name
        if name == "volume":
            return layout.volume_manifest(self.volume)
        if name == "targets":
            return layout.targets_manifest(self.run, self.volume)
        if name == "train":
            return layout.training_manifest(self.run)
        if name == "tune":
            return layout.tuning(self.run)
        if name == "evaluate":
            return layout.scores(self.run, self.volume)
        if name == PROVENANCE.name:
            return layout.provenance(self.run)
        product = {
            "predict": "prediction",
            "relabel": "segmentation",
            "classes": "segmentation",
            "agglomerate": "look_up_table",
        }
        return layout.manifest(self.run, self.volume, product.get(name, name))

    def plan(self, layout: Layout) -> Path:
        """The file that tells that the stage's array was made, and on which grid."""
        return self.manifest(layout).with_suffix(".plan.json")

    def first_file(self, layout: Layout) -> Path:
        """The file with which the computation of the stage begins: the rest follows from it."""
        return self.plan(layout) if self.stage.blockwise else self.manifest(layout)

    def shard(self, layout: Layout, index: int, count: int) -> Path:
        """The file that tells that one shard is done."""
        return self.manifest(layout).with_suffix(f".shard-{index}-of-{count}.json")

    def log(self, layout: Layout, part: str = "") -> Path:
        """The log of a job of the stage; ``part`` is ``_plan``, ``_shard_0_of_1`` or ``_finish``."""
        return layout.results.joinpath("logs", *self._place(), f"{self.stage.name}{part}.log")

    def benchmarks(self, layout: Layout) -> list[Path]:
        """What Snakemake measured in the jobs of the stage."""
        directory = layout.results.joinpath("benchmarks", *self._place())
        pattern = f"{self.stage.name}_shard_*.tsv" if self.stage.blockwise else f"{self.stage.name}.tsv"
        return sorted(directory.glob(pattern))

    def arrays(self, layout: Layout) -> list[str]:
        """Directories or addresses of the arrays that the stage writes at full resolution."""
        name = self.stage.name
        if name == "volume":
            container = layout.volume_container(self.volume)
            return [f"{container}/{image}/s0" for image in ("raw", "labels", "mask")]
        if name == "targets":
            container = layout.targets_container(self.run, self.volume)
            return [f"{container}/{image}/s0" for image in ("target", "weight")]
        if name in ("predict", "fragments", "relabel", "classes"):
            image = {"predict": "prediction", "fragments": "fragments"}.get(name, "segmentation")
            return [f"{layout.image(self.run, self.volume, image)}/s0"]
        if name == "graph":
            return [str(layout.graph(self.run, self.volume))]
        return []

    def _place(self) -> list[str]:
        return [part for part in (self.run, self.volume) if part]


def stages_of_run(agglomerated: bool) -> list[StageEntry]:
    """The stages of a run, shared ones left out.

    Args:
        agglomerated: whether the run segments through a graph of fragments.
    """
    skipped = {"volume", "classes"} if agglomerated else {"volume", *_SEGMENTING}
    return [item for item in CATALOGUE if item.name not in skipped]


def instances(workflow: "Workflow") -> list[StageInstance]:
    """Every stage of a configuration for each of its runs and volumes, in the order of computation."""
    configuration = workflow.configuration
    used = {
        name: None
        for run in configuration.runs.values()
        for name in [*run.volumes.train, *run.volumes.segmented]
    }
    found = [StageInstance(entry("volume"), volume=volume) for volume in used]
    for run, settings in configuration.runs.items():
        volumes = settings.volumes
        for item in stages_of_run(run in workflow.agglomerated_runs):
            if item.scope == "run":
                found.append(StageInstance(item, run))
            elif item.name == "targets":
                found += [StageInstance(item, run, name) for name in [*volumes.train, *volumes.validation]]
            else:
                found += [
                    StageInstance(item, run, name)
                    for name in volumes.segmented
                    if item.name != "evaluate" or configuration.volumes[name].has_labels
                ]
    return found


def inputs_of(instance: StageInstance, workflow: "Workflow") -> dict[str, StageInstance]:
    """The stages whose results a stage reads, by the names that its manifest gives them."""
    run, volume, name = instance.run, instance.volume, instance.stage.name
    if name in ("train", "tune"):
        volumes = workflow.configuration.runs[run].volumes
        names = [*volumes.train, *volumes.validation] if name == "train" else volumes.validation
        other = "targets" if name == "train" else "predict"
        label = "targets" if name == "train" else "prediction"
        found = {f"volume.{item}": StageInstance(entry("volume"), volume=item) for item in names}
        return found | {f"{label}.{item}": StageInstance(entry(other), run, item) for item in names}
    segmenting = "relabel" if run in workflow.agglomerated_runs else "classes"
    read = {
        "targets": {"volume": "volume"},
        "predict": {"volume": "volume", "training": "train"},
        "fragments": {"volume": "volume", "prediction": "predict", "tuning": "tune"},
        "graph": {"prediction": "predict", "fragments": "fragments", "tuning": "tune"},
        "agglomerate": {"graph": "graph", "tuning": "tune"},
        "relabel": {"fragments": "fragments", "look_up_table": "agglomerate"},
        "classes": {"volume": "volume", "prediction": "predict", "tuning": "tune"},
        "evaluate": {"segmentation": segmenting, "volume": "volume"},
    }
    places = {"volume": ("", volume), "run": (run, ""), "both": (run, volume)}
    return {
        label: StageInstance(entry(other), *places[entry(other).scope])
        for label, other in read.get(name, {}).items()
    }
