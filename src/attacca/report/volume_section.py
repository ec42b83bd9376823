"""The part of the page about one volume of a run: status, pictures of planes, error atlas, sizes."""

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from attacca.config.task import TaskConfig
from attacca.evaluators.findings import Findings, describe_findings
from attacca.report.channels import has_classes
from attacca.report.deleted import describe_lost_images
from attacca.report.drawings import make_chart
from attacca.report.error_atlas import AtlasEntry, make_error_atlas
from attacca.report.facts import Fact, as_mapping, describe_checks, describe_size
from attacca.report.fallback import compute_or
from attacca.report.label_overlap import LabelOverlap, measure_overlap
from attacca.report.object_section import ObjectSection, read_objects
from attacca.report.provenance_tables import count_blocks
from attacca.report.region_section import RegionSection, read_regions
from attacca.report.results import Results, read_json, read_table
from attacca.report.scores import Score, describe_broken_scores, read_scores, read_warnings
from attacca.report.slice_rows import Row, VolumeImages, make_slice_rows
from attacca.report.tuning_plots import plot_sizes
from attacca.report.viewer import make_open_link

_MAX_LINKED = 12
"""Largest number of segments or objects that a link selects in the viewer."""

_MAX_TABLE = 1_000_000
"""Largest number of objects whose sizes are read from their table."""

NO_LABELS = "segmented; no labels to compare with"
"""Status of a finished volume without scores."""


@dataclass
class VolumeSection:
    """One volume of a run.

    Attributes:
        name: name of the volume.
        purpose: ``validation`` or ``test``.
        ground_truth_expected: True if the configuration has labels for the volume.
        status: a sentence about missing results; empty if the volume is finished.
        lost: a clause about deleted arrays; empty without them.
        warnings: sentences of the evaluation about an implausible segmentation.
        scores: in the order of ``scores.json``.
        rows: pictures of planes.
        splits, merges: the error atlas.
        atlas_note: reason why the atlas is missing, or the region that it covers.
        histogram: chart with the sizes of segments and objects, or empty.
        link: opens the volume in a viewer.
        checks: measurements of the segmentation.
        size: shape, voxel size and extent of the volume.
        objects: the largest objects; None before they are measured.
        findings: objects that are whole, split, merged or missing; None without a comparison of objects.
        regions: variation of information by size of the evaluated part; None unless it was computed.
    """

    name: str
    purpose: str
    ground_truth_expected: bool
    status: str = ""
    lost: str = ""
    warnings: list[str] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    splits: list[AtlasEntry] = field(default_factory=list)
    merges: list[AtlasEntry] = field(default_factory=list)
    atlas_note: str = ""
    histogram: str = ""
    link: str = ""
    checks: list[Fact] = field(default_factory=list)
    size: list[Fact] = field(default_factory=list)
    findings: Findings | None = None
    objects: ObjectSection | None = None
    regions: RegionSection | None = None

    @property
    def is_unlabelled(self) -> bool:
        """True if the volume is finished and has no labels, which is not a problem."""
        return self.status == NO_LABELS


def make_volume_section(
    results: Results,
    run: str,
    volume: str,
    purpose: str,
    ground_truth_expected: bool,
    task: TaskConfig | None,
) -> VolumeSection:
    """Collect everything that the page shows of one volume.

    Args:
        results: results of all runs.
        run: name of the run.
        volume: name of the volume.
        purpose: ``validation`` or ``test``.
        ground_truth_expected: True if the configuration has labels for the volume.
        task: meaning of the channels and labels.
    """
    images = _open_images(results, run, volume)
    section = VolumeSection(volume, purpose, ground_truth_expected or images.ground_truth is not None)
    section.scores = compute_or([], "the scores", lambda: read_scores(results, run, volume))
    section.lost = compute_or("", "deleted arrays", lambda: _describe_lost(results, run, volume, images))
    section.warnings = read_warnings(results, run, volume)
    section.status = _describe_status(results, run, section, images)
    section.link = make_open_link(run, volume)
    section.objects = compute_or(None, "the table of objects", lambda: read_objects(results, run, volume))
    section.regions = compute_or(None, "the scores of parts", lambda: read_regions(results, run, volume))
    image = images.raw or images.segmentation or images.ground_truth
    section.size = describe_size(image.finest) if image is not None else []
    section.checks = _describe_segmentation(results, run, volume)
    if not section.scores and not read_json(results.layout.manifest(run, volume, "segmentation")):
        # Blocks that are not computed yet would look like errors.
        images = replace(images, segmentation=None)
    overlap: LabelOverlap | None = None
    has_objects = not has_classes(task)
    if has_objects and images.segmentation is not None and images.ground_truth is not None:
        measure = partial(
            measure_overlap,
            images.segmentation.finest,
            images.ground_truth.finest,
            images.unlabelled,
            mask=images.mask.finest if images.mask else None,
        )
        overlap = compute_or(overlap, "the comparison with the ground truth", measure)
    matches = overlap.matches if overlap else None
    section.rows = compute_or(
        section.rows, f"slices of {volume}", lambda: make_slice_rows(images, task, matches)
    )
    section.findings = Findings.from_json(read_json(results.layout.scores(run, volume)).get("findings"))
    if section.findings is None and overlap is not None:
        section.findings = compute_or(None, "the errors in words", partial(describe_findings, overlap.table))
    if has_objects:
        _add_atlas(section, images, overlap, run)
    if overlap is None:
        _add_sizes(section, results, run)
    return section


def _describe_segmentation(results: Results, run: str, volume: str) -> list[Fact]:
    """Describe the measurements of the segmentation, which the scores repeat as far as they exist."""
    stored = read_json(results.layout.manifest(run, volume, "segmentation")).get("result")
    scored = read_json(results.layout.scores(run, volume)).get("segmentation")
    values = dict(as_mapping(scored) or as_mapping(stored))
    blocks = count_blocks(results, run, volume, "segmentation")
    values.pop("blocks", None)
    if blocks == 1:
        # A single block has no border to another one.
        values.pop("seam_excess", None)
    return describe_checks(values) if values else []


def _open_images(results: Results, run: str, volume: str) -> VolumeImages:
    unlabelled = results.volume_result(volume).get("unlabelled")
    return VolumeImages(
        raw=results.volume_image(volume, "raw"),
        ground_truth=results.volume_image(volume, "labels"),
        mask=results.volume_image(volume, "mask"),
        target=results.target_image(run, volume, "target"),
        weight=results.target_image(run, volume, "weight"),
        prediction=results.result_image(run, volume, "prediction"),
        segmentation=results.result_image(run, volume, "segmentation"),
        unlabelled=unlabelled if isinstance(unlabelled, int) else None,
    )


def _describe_lost(results: Results, run: str, volume: str, images: VolumeImages) -> str:
    by_name = {
        "raw": images.raw,
        "labels": images.ground_truth,
        "prediction": images.prediction,
        "segmentation": images.segmentation,
    }
    opened = {name for name, image in by_name.items() if image is not None}
    return describe_lost_images(results, run, volume, opened)


def _describe_status(results: Results, run: str, section: VolumeSection, images: VolumeImages) -> str:
    volume = section.name
    is_predicted = bool(read_json(results.layout.manifest(run, volume, "prediction")))
    is_segmented = bool(read_json(results.layout.manifest(run, volume, "segmentation")) or section.scores)
    if section.scores:
        return ""
    if is_segmented:
        broken = describe_broken_scores(results, run, volume)
        if broken:
            return f"segmented, but {broken}"
        has_labels = section.ground_truth_expected
        return "segmented; not evaluated yet" if has_labels else NO_LABELS
    if not is_predicted:
        if not results.volume_result(volume) and images.raw is None:
            return "not imported yet"
        if images.segmentation is None:
            return "not predicted yet" if images.prediction is None else "not predicted completely yet"
    return "not segmented yet"


def _add_atlas(section: VolumeSection, images: VolumeImages, overlap: LabelOverlap | None, run: str) -> None:
    if images.segmentation is None or images.ground_truth is None:
        if not section.lost and not section.is_unlabelled:
            section.atlas_note = "Errors can be ranked once there are a segmentation and labels."
        return
    if overlap is None:
        section.atlas_note = "Errors are not ranked: segmentation and labels are not on one grid of voxels."
        return
    raw = (images.raw or images.segmentation).finest
    make_atlas = partial(
        make_error_atlas,
        raw,
        images.segmentation.finest,
        images.ground_truth.finest,
        overlap,
        mask=images.mask.finest if images.mask else None,
        unlabelled=images.unlabelled,
    )
    splits = compute_or(section.splits, "the atlas of splits", lambda: make_atlas("split"))
    merges = compute_or(section.merges, "the atlas of merges", lambda: make_atlas("merge"))
    section.splits = [_add_link(error, run, section.name) for error in splits]
    section.merges = [_add_link(error, run, section.name) for error in merges]
    if not overlap.is_whole:
        section.atlas_note = "The volume is large: errors were ranked in its center only."
    table = overlap.table
    sizes = {
        "segments": _sum_by_id(table.segment, table.count),
        "ground-truth objects": _sum_by_id(table.ground_truth, table.count),
    }
    name = f"sizes-{run}-{section.name}"
    section.histogram = compute_or(
        "",
        "the histogram of sizes",
        lambda: make_chart(
            lambda compact: plot_sizes(
                sizes, "voxels inside labeled objects", f"{name}{'-compact' * compact}", compact
            )
        ),
    )


def _add_link(atlas_entry: AtlasEntry, run: str, volume: str) -> AtlasEntry:
    error = atlas_entry.error
    is_split = error.kind == "split"
    segments = error.parts if is_split else (error.whole,)
    objects = (error.whole,) if is_split else error.parts
    link = make_open_link(run, volume, atlas_entry.center, segments[:_MAX_LINKED], objects[:_MAX_LINKED])
    return replace(atlas_entry, link=link)


def _add_sizes(section: VolumeSection, results: Results, run: str) -> None:
    """Add the histogram of the sizes of all objects, and their median, from the table of objects."""
    count = section.objects.count if section.objects else 0
    if not 0 < count <= _MAX_TABLE:
        return
    voxels = read_table(results.layout.object_table(run, section.name)).get("voxels")
    if voxels is None or not np.isfinite(voxels).any():
        return
    voxels = voxels[np.isfinite(voxels)]
    low, median, high = np.percentile(voxels, [10, 50, 90])
    text = f"{median:,.0f} voxels (10th to 90th percentile {low:,.0f} to {high:,.0f})".replace(",", "\u202f")
    section.checks.append(Fact("median size of a segment", text))
    name = f"sizes-{run}-{section.name}"
    section.histogram = compute_or(
        "",
        "the histogram of sizes",
        lambda: make_chart(
            lambda compact: plot_sizes(
                {"segments": voxels}, "voxels", f"{name}{'-compact' * compact}", compact
            )
        ),
    )


def _sum_by_id(ids: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Sum up the counts of each id except 0; shape (distinct ids,)."""
    foreground = ids != 0
    if not foreground.any():
        return np.empty(0)
    _, index = np.unique(ids[foreground], return_inverse=True)
    return np.bincount(index, weights=count[foreground])
