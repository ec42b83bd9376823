"""The error atlas: the splits and merges that cost most, each with a cut-out that shows it."""

from dataclasses import dataclass

import numpy as np

from attacca.arrays import Array
from attacca.report.agreement import Contact, SegmentError, Survey, find_contact, worst_problems
from attacca.report.colors import CATEGORIES, blend, boundaries, gray
from attacca.report.pictures import Picture, normalised, picture
from attacca.report.planes import View, cut, window

CUT_OUT = 128
"""Pixels along a side of a cut-out."""


@dataclass(frozen=True)
class Entry:
    """One problem as the page shows it.

    Attributes:
        problem: what is wrong.
        rank: its place, from 1.
        part_of_total: its share as a fraction of all VOI split, or merge, of the volume.
        centre: where to look, in world units.
        touching: whether the two largest parts share faces there.
        view: the plane of the cut-outs.
        pictures: raw, truth, segmentation.
        parts: text, voxels and color of the largest parts.
        link: opens the place in a viewer; empty where there is none.
    """

    problem: SegmentError
    rank: int
    part_of_total: float
    centre: tuple[int, ...]
    touching: bool
    view: View
    pictures: tuple[Picture, ...]
    parts: tuple[tuple[str, int, str], ...]
    link: str = ""

    @property
    def told(self) -> str:
        """The problem in words."""
        named = [part for part in self.problem.parts if part != 0]
        rest = ", some of it unsegmented" if len(named) < len(self.problem.parts) else ""
        if self.problem.kind == "merge":
            return f"segment {self.problem.whole} covers {len(named)} objects"
        if not named:
            return f"object {self.problem.whole} is not segmented"
        pieces = f"in {len(named)} pieces" if len(named) > 1 else "in one piece"
        return f"object {self.problem.whole} {pieces}{rest}"


def error_atlas(
    raw: Array, segmentation: Array, ground_truth: Array, findings: Survey, kind: str, count: int = 8
) -> list[Entry]:
    """The problems that cost most, each with cut-outs.

    Args:
        raw: gray values; its voxels become pixels.
        segmentation, truth: ids, on one grid of voxels.
        findings: their comparison.
        kind: ``"split"`` or ``"merge"``.
        count: number of entries.
    """
    total = sum(problem.share for problem in worst_problems(findings.table, kind, len(findings.table)))
    entries: list[Entry] = []
    for problem in worst_problems(findings.table, kind, count):
        contact = find_contact(problem, findings, segmentation, ground_truth)
        if contact is None:
            continue
        entries.append(
            _entry(problem, contact, len(entries) + 1, total, raw, segmentation, ground_truth, findings)
        )
    return entries


def _entry(
    problem: SegmentError,
    contact: Contact,
    rank: int,
    total: float,
    raw: Array,
    segmentation: Array,
    ground_truth: Array,
    findings: Survey,
) -> Entry:
    axis = contact.axis if raw.dims == 3 else None
    view = window(raw, findings.roi, contact.centre, axis, CUT_OUT)
    below = gray(normalised(_gray_values(raw, view)))
    true_ids, segment_ids = cut(ground_truth, view, stored=True), cut(segmentation, view, stored=True)
    whole, parts = (true_ids, segment_ids) if problem.kind == "split" else (segment_ids, true_ids)
    inside = whole == np.uint64(problem.whole)
    noun, noun_parts = ("object", "segment") if problem.kind == "split" else ("segment", "object")
    # The same few colors in every entry: parts that must be told apart always can be.
    colors = _part_colors(problem.parts)
    seen_whole = _highlight(below, whole, inside, {problem.whole: colors[problem.parts[0]]})
    seen_parts = _highlight(below, parts, inside, colors)
    ground_truth_image, segment_image = (
        (seen_whole, seen_parts) if problem.kind == "split" else (seen_parts, seen_whole)
    )
    where = f"{noun} {problem.whole}, {view.title}"
    pictures = (
        picture(below[..., 0], f"Raw image around {where}", "raw", view.pixel_size),
        picture(ground_truth_image, f"Ground truth around {where}", "truth", view.pixel_size),
        picture(segment_image, f"Segmentation around {where}", "segmentation", view.pixel_size),
    )
    named = tuple(
        ("unsegmented" if part == 0 else f"{noun_parts} {part}", voxels, _css(colors[part]))
        for part, voxels in zip(problem.parts[:4], problem.voxels[:4])
    )
    share = problem.share / total if total else 0.0
    centre = tuple(int(value) for value in contact.centre)
    return Entry(problem, rank, share, centre, contact.touching, view, pictures, named)


def _gray_values(raw: Array, view: View) -> np.ndarray:
    image = cut(raw, view)
    return image[0] if image.ndim == 3 else image


def _part_colors(parts: tuple[int, ...]) -> dict[int, np.ndarray]:
    colors = {0: np.array(CATEGORIES[-1], dtype=np.uint8)}
    named = [part for part in parts if part != 0]
    for index, part in enumerate(named):
        # Beyond the palette parts are too small to be looked for.
        colors[part] = np.array(CATEGORIES[min(index, len(CATEGORIES) - 2)], dtype=np.uint8)
    return {part: colors[part] for part in parts}


def _css(color: np.ndarray) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in color)


def _highlight(
    below: np.ndarray, labels: np.ndarray, inside: np.ndarray, colors: dict[int, np.ndarray]
) -> np.ndarray:
    """Labels in colors: strong where the problem is, faint elsewhere, with a bright outline around it."""
    painted = np.zeros_like(below)
    for value, color in colors.items():
        painted[labels == np.uint64(value)] = color
    here = np.isin(labels, np.array(list(colors), dtype=np.uint64))
    opacity = np.where(inside, 0.62, np.where(here, 0.28, 0.0))
    image = blend(below, painted, opacity)
    image[boundaries(labels) & ~inside] = image[boundaries(labels) & ~inside] // 2 + 40
    image[boundaries(inside.astype(np.uint8))] = (255, 255, 255)
    return image
