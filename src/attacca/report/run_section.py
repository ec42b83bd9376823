"""What the page says about one run, and about each volume that it segmented."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from attacca.report.agreement import Survey, survey
from attacca.report.channels import task_of
from attacca.report.choice import Choice, chosen_facts, read_choice
from attacca.report.deleted import describe_lost_images
from attacca.report.errors_atlas import Entry, error_atlas
from attacca.report.pictures import Picture
from attacca.report.plots_slices import Row, VolumeImages, slice_rows
from attacca.report.plots_training import snapshot_pictures, training_curve
from attacca.report.plots_tuning import criterion_plot, size_histogram, tuning_plot
from attacca.report.provenance import (
    Fact,
    blocks_table,
    configuration_facts,
    output_rows,
    provenance_facts,
    short,
)
from attacca.report.results import Results, read_json, read_table
from attacca.report.scores import Score, broken_scores, read_scores
from attacca.report.viewer import open_link

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SNAPSHOTS = 4
_NO_PICTURES: list[Picture] = []


@dataclass
class VolumeSection:
    """One volume of a run.

    Attributes:
        name: of the volume.
        purpose: ``validation`` or ``test``.
        truth_expected: whether the configuration gives labels for it.
        status: what is missing, in words; empty where all is there.
        lost: which arrays were there and are gone, in words; empty where none is.
        scores: in the order in which they are reported.
        rows: pictures of planes.
        splits, merges: the error atlas.
        atlas_note: why it is not there, or what it covers.
        histogram: an SVG element, or empty.
        link: opens the volume in a viewer.
    """

    name: str
    purpose: str
    ground_truth_expected: bool
    status: str = ""
    lost: str = ""
    scores: list[Score] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    splits: list[Entry] = field(default_factory=list)
    merges: list[Entry] = field(default_factory=list)
    atlas_note: str = ""
    histogram: str = ""
    link: str = ""
    parameters: list[Fact] = field(default_factory=list)


@dataclass
class RunSection:
    """One run.

    Attributes:
        name: of the run.
        criterion: the score by which it chooses; None where the configuration names none.
        facts: the configuration in short.
        curve: the training curve, an SVG element, or empty.
        training_note: what is missing of the training.
        snapshots: batches, each with its title and its pictures.
        tuning: the plot of split against merge, or of a criterion, an SVG element, or empty.
        tuning_caption: how to read it.
        chosen: the chosen settings that matter.
        chosen_too: the others that were in effect.
        tuning_note: what is missing, or how many settings were tried.
        volumes: of validation, then of the test.
        provenance: versions, seeds, digests.
        blocks: stage, volume, blocks and time.
        outputs: stage, volume, what, digest.
    """

    name: str
    criterion: str | None
    facts: list[Fact]
    curve: str = ""
    training_note: str = ""
    snapshots: list[tuple[str, list[Picture]]] = field(default_factory=list)
    tuning: str = ""
    tuning_caption: str = ""
    chosen: list[Fact] = field(default_factory=list)
    chosen_too: list[Fact] = field(default_factory=list)
    tuning_note: str = ""
    volumes: list[VolumeSection] = field(default_factory=list)
    provenance: list[Fact] = field(default_factory=list)
    blocks: list[tuple[str, ...]] = field(default_factory=list)
    outputs: list[tuple[str, ...]] = field(default_factory=list)


def run_section(
    results: Results, name: str, config: Mapping[str, Any], volumes: Mapping[str, Any]
) -> RunSection:
    """Collect all that the page shows of a run.

    Args:
        results: where to read.
        name: of the run.
        config: its section of the configuration.
        volumes: sections of all volumes.
    """
    config = config or read_json(results.layout.run_record(name))
    task = task_of(_mapping(config.get("task")))
    section = RunSection(name, _criterion(config), configuration_facts(config))
    _add_training(section, results, name, task)
    _add_tuning(section, results, name)
    for volume, purpose in _segmented(results, name, config):
        labels = _mapping(volumes.get(volume))
        expected = bool(labels.get("labels") or labels.get("synthetic"))
        section.volumes.append(volume_section(results, name, volume, purpose, expected, task))
    section.provenance = _guarded(
        partial(provenance_facts, results, name), section.provenance, "the provenance"
    )
    section.blocks = _guarded(partial(blocks_table, results, name), section.blocks, "the table of blocks")
    section.outputs = _guarded(partial(output_rows, results, name), section.outputs, "the digests")
    return section


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _criterion(config: Mapping[str, Any]) -> str | None:
    for part in ("evaluation", "segmentation", "training"):
        value = _mapping(config.get(part)).get("criterion")
        if isinstance(value, str):
            return value
    return None


def _segmented(results: Results, run: str, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = _mapping(config.get("volumes"))
    found = [(str(v), "validation") for v in named.get("validate") or named.get("validation") or []]
    found += [(str(v), "test") for v in named.get("test") or []]
    return found or [(volume, "test") for volume in results.list_volumes(run)]


def _guarded(make: Callable[[], T], otherwise: T, what: str) -> T:
    # A report with one piece missing is worth more than none; the log says what went wrong.
    try:
        return make()
    except Exception:
        logger.exception("%s could not be shown", what)
        return otherwise


def _add_training(section: RunSection, results: Results, name: str, task: Mapping[str, Any]) -> None:
    metrics = read_table(results.layout.training(name) / "metrics.tsv")
    validation = results.validation_curves(name)
    finished = read_json(results.layout.training_manifest(name))
    initial = read_json(results.layout.training(name) / "initial_weights.json").get("summary")
    if initial:
        section.facts.append(Fact("initial weights", str(initial)))
    best = _best_iteration(results, name, finished)
    section.curve = _guarded(
        lambda: training_curve(metrics, validation, best, f"training-{name}"), "", "the training curve"
    )
    if not section.curve:
        section.training_note = "Training has not written its curve yet."
    elif not finished:
        section.training_note = "Training has not finished: this is its curve so far."
    paths = results.snapshots(name)
    # The first, the last, and some between.
    kept = (
        [paths[round(i)] for i in np.linspace(0, len(paths) - 1, min(_SNAPSHOTS, len(paths)))]
        if paths
        else []
    )
    for path in dict.fromkeys(kept):
        pictures = _guarded(partial(snapshot_pictures, path, task), _NO_PICTURES, f"the snapshot {path.name}")
        if pictures:
            section.snapshots.append((_snapshot_title(path.stem), list(pictures)))


def _snapshot_title(stem: str) -> str:
    digits = "".join(character for character in stem if character.isdigit())
    return f"iteration {int(digits)}" if digits else stem.replace("_", " ")


def _best_iteration(results: Results, name: str, manifest: Mapping[str, Any]) -> int | None:
    result = _mapping(manifest.get("result"))
    best = _mapping(result.get("best")) or read_json(
        results.layout.training(name) / "checkpoints" / "best.json"
    )
    if isinstance(best.get("iteration"), int):
        return int(best["iteration"])
    digits = "".join(c for c in str(result.get("best_file") or best.get("file") or "") if c.isdigit())
    return int(digits) if digits else None


def _add_tuning(section: RunSection, results: Results, name: str) -> None:
    tuning = read_json(results.layout.tuning(name))
    choice = _guarded(lambda: read_choice(tuning), Choice(), "the choice of settings")
    section.tuning = _guarded(lambda: tuning_plot(choice, f"tuning-{name}"), "", "the plot of settings")
    section.tuning_caption = "Down and left is better. Dotted lines join equal sums of split and merge."
    if not section.tuning:
        section.tuning = _guarded(
            lambda: criterion_plot(choice, f"tuning-{name}"), "", "the plot of settings"
        )
        section.tuning_caption = f"{'Up' if choice.higher_is_better else 'Down'} is better."
    section.criterion = section.criterion or choice.criterion
    section.chosen, section.chosen_too = _guarded(
        lambda: chosen_facts(choice), (section.chosen, section.chosen_too), "the chosen settings"
    )
    if choice.rows:
        section.tuning_note = f"{len(choice.rows)} settings were compared on the validation volumes alone."
    elif tuning:
        section.tuning_note = "There was one setting only, or no validation volume to compare settings on."
    else:
        section.tuning_note = "Settings have not been chosen yet."


def setting_facts(settings: Mapping[str, Any]) -> list[Fact]:
    """Values that a person understands at a glance: no digests, no tables."""
    return [
        Fact(str(key).replace("_", " "), short(value))
        for key, value in settings.items()
        if (isinstance(value, str | int | float) or (isinstance(value, list) and len(value) <= 16))
        and key != "id"
        and not key.endswith(("digest", "fingerprint"))
    ]


def volume_section(
    results: Results,
    run: str,
    volume: str,
    purpose: str,
    ground_truth_expected: bool,
    task: Mapping[str, Any],
) -> VolumeSection:
    """Collect all that the page shows of one volume of a run."""
    images = VolumeImages(
        raw=results.volume_image(volume, "raw"),
        ground_truth=results.volume_image(volume, "labels"),
        target=results.target_image(run, volume, "target"),
        prediction=results.result_image(run, volume, "prediction"),
        segmentation=results.result_image(run, volume, "segmentation"),
        unlabelled=_whole(results.volume_result(volume).get("unlabelled")),
    )
    section = VolumeSection(volume, purpose, ground_truth_expected or images.ground_truth is not None)
    section.scores = _guarded(lambda: read_scores(results, run, volume), [], "the scores")
    there = {"raw": images.raw, "labels": images.ground_truth}
    there |= {"prediction": images.prediction, "segmentation": images.segmentation}
    opened = {name for name, image in there.items() if image is not None}
    section.lost = _guarded(
        partial(describe_lost_images, results, run, volume, opened), "", "what was deleted"
    )
    section.status = _status(images, section, results, run, volume)
    section.link = open_link(run, volume)
    settings = _mapping(read_json(results.layout.scores(run, volume)).get("segmentation"))
    section.parameters = setting_facts(settings)
    instances = task["type"] in ("affinities", "dummy")
    finished = bool(read_json(results.layout.manifest(run, volume, "segmentation"))) or bool(section.scores)
    if not finished and images.segmentation is not None:
        # Blocks are still missing: an unfinished segmentation would be shown as an error.
        images = replace(images, segmentation=None)
    findings: Survey | None = None
    if instances and images.segmentation is not None and images.ground_truth is not None:
        segmentation, ground_truth = images.segmentation.finest, images.ground_truth.finest
        findings = _guarded(
            partial(survey, segmentation, ground_truth, images.unlabelled),
            findings,
            "the comparison with the truth",
        )
    matches = findings.matches if findings else None
    section.rows = _guarded(lambda: slice_rows(images, task, matches), [], f"slices of {volume}")
    if instances:
        _add_atlas(section, images, findings, run)
    return section


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _status(images: VolumeImages, section: VolumeSection, results: Results, run: str, volume: str) -> str:
    predicted = bool(read_json(results.layout.manifest(run, volume, "prediction")))
    segmented = bool(read_json(results.layout.manifest(run, volume, "segmentation")) or section.scores)
    if not results.volume_result(volume) and images.raw is None and not predicted and not segmented:
        return "not imported yet"
    if not predicted and not segmented and images.segmentation is None:
        return "not predicted yet" if images.prediction is None else "prediction is not finished"
    if not segmented:
        return "not segmented yet"
    if not section.scores:
        broken = broken_scores(results, run, volume)
        if broken:
            return f"segmented, but {broken}"
        return (
            "segmented; not evaluated yet"
            if section.ground_truth_expected
            else "segmented; no labels to compare with"
        )
    return ""


def _add_atlas(section: VolumeSection, images: VolumeImages, findings: Survey | None, run: str) -> None:
    if images.segmentation is None or images.ground_truth is None:
        if not section.lost:
            section.atlas_note = "Errors can be ranked once there are a segmentation and labels."
        return
    if findings is None:
        section.atlas_note = "Errors are not ranked: segmentation and labels do not share a grid of voxels."
        return
    raw = (images.raw or images.segmentation).finest
    segmentation, ground_truth = images.segmentation.finest, images.ground_truth.finest
    atlas = partial(error_atlas, raw, segmentation, ground_truth, findings)
    section.splits = _guarded(partial(atlas, "split"), section.splits, "the atlas of splits")
    section.merges = _guarded(partial(atlas, "merge"), section.merges, "the atlas of merges")
    section.splits = [_linked(entry, run, section.name) for entry in section.splits]
    section.merges = [_linked(entry, run, section.name) for entry in section.merges]
    if not findings.whole:
        section.atlas_note = "The volume is large: errors were ranked in its middle alone."
    sizes = {"segments": _sizes(findings.table.segment, findings.table.count)}
    sizes["true objects"] = _sizes(findings.table.ground_truth, findings.table.count)
    section.histogram = _guarded(
        lambda: size_histogram(sizes, "voxels inside labelled objects", f"sizes-{run}-{section.name}"),
        "",
        "sizes",
    )


def _linked(entry: Entry, run: str, volume: str) -> Entry:
    segments = entry.problem.parts if entry.problem.kind == "split" else (entry.problem.whole,)
    objects = (entry.problem.whole,) if entry.problem.kind == "split" else entry.problem.parts
    return replace(entry, link=open_link(run, volume, entry.centre, segments[:12], objects[:12]))


def _sizes(ids: np.ndarray, count: np.ndarray) -> np.ndarray:
    kept = ids != 0
    _, place = np.unique(ids[kept], return_inverse=True)
    return np.bincount(place, weights=count[kept]) if kept.any() else np.empty(0)
