"""The error atlas: the splits and merges that cost most, each with a cut-out that shows it."""

from dataclasses import dataclass

import numpy as np

from attacca.arrays import Array
from attacca.report.agreement import Contact, Mistake, Survey, find_contact, worst_mistakes
from attacca.report.colours import CATEGORIES, blend, boundaries, grey
from attacca.report.pictures import Picture, normalised, picture
from attacca.report.planes import View, cut, window

CUT_OUT = 128
"""Pixels along a side of a cut-out."""


@dataclass(frozen=True)
class Entry:
    """One mistake as the page shows it.

    Attributes:
        mistake: what is wrong.
        rank: its place, from 1.
        part_of_total: its share as a fraction of all VOI split, or merge, of the volume.
        centre: where to look, in world units.
        touching: whether the two largest parts share faces there.
        view: the plane of the cut-outs.
        pictures: raw, truth, segmentation.
        parts: text, voxels and colour of the largest parts.
        link: opens the place in a viewer; empty where there is none.
    """

    mistake: Mistake
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
        """The mistake in words."""
        named = [part for part in self.mistake.parts if part != 0]
        rest = ", some of it unsegmented" if len(named) < len(self.mistake.parts) else ""
        if self.mistake.kind == "merge":
            return f"segment {self.mistake.whole} covers {len(named)} objects"
        if not named:
            return f"object {self.mistake.whole} is not segmented"
        pieces = f"in {len(named)} pieces" if len(named) > 1 else "in one piece"
        return f"object {self.mistake.whole} {pieces}{rest}"


def error_atlas(
    raw: Array, segmentation: Array, truth: Array, findings: Survey, kind: str, count: int = 8
) -> list[Entry]:
    """The mistakes that cost most, each with cut-outs.

    Args:
        raw: grey values; its voxels become pixels.
        segmentation, truth: ids, on one grid of voxels.
        findings: their comparison.
        kind: ``"split"`` or ``"merge"``.
        count: number of entries.
    """
    total = sum(mistake.share for mistake in worst_mistakes(findings.table, kind, len(findings.table)))
    entries: list[Entry] = []
    for mistake in worst_mistakes(findings.table, kind, count):
        contact = find_contact(mistake, findings, segmentation, truth)
        if contact is None:
            continue
        entries.append(_entry(mistake, contact, len(entries) + 1, total, raw, segmentation, truth, findings))
    return entries


def _entry(
    mistake: Mistake,
    contact: Contact,
    rank: int,
    total: float,
    raw: Array,
    segmentation: Array,
    truth: Array,
    findings: Survey,
) -> Entry:
    axis = contact.axis if raw.dims == 3 else None
    view = window(raw, findings.roi, contact.centre, axis, CUT_OUT)
    below = grey(normalised(_grey_values(raw, view)))
    true_ids, segment_ids = cut(truth, view, stored=True), cut(segmentation, view, stored=True)
    whole, parts = (true_ids, segment_ids) if mistake.kind == "split" else (segment_ids, true_ids)
    inside = whole == np.uint64(mistake.whole)
    noun, noun_parts = ("object", "segment") if mistake.kind == "split" else ("segment", "object")
    # The same few colours in every entry: parts that must be told apart always can be.
    colours = _part_colours(mistake.parts)
    seen_whole = _highlight(below, whole, inside, {mistake.whole: colours[mistake.parts[0]]})
    seen_parts = _highlight(below, parts, inside, colours)
    truth_image, segment_image = (
        (seen_whole, seen_parts) if mistake.kind == "split" else (seen_parts, seen_whole)
    )
    where = f"{noun} {mistake.whole}, {view.title}"
    pictures = (
        picture(below[..., 0], f"Raw image around {where}", "raw", view.pixel_size),
        picture(truth_image, f"Truth around {where}", "truth", view.pixel_size),
        picture(segment_image, f"Segmentation around {where}", "segmentation", view.pixel_size),
    )
    named = tuple(
        ("unsegmented" if part == 0 else f"{noun_parts} {part}", voxels, _css(colours[part]))
        for part, voxels in zip(mistake.parts[:4], mistake.voxels[:4])
    )
    share = mistake.share / total if total else 0.0
    centre = tuple(int(value) for value in contact.centre)
    return Entry(mistake, rank, share, centre, contact.touching, view, pictures, named)


def _grey_values(raw: Array, view: View) -> np.ndarray:
    image = cut(raw, view)
    return image[0] if image.ndim == 3 else image


def _part_colours(parts: tuple[int, ...]) -> dict[int, np.ndarray]:
    colours = {0: np.array(CATEGORIES[-1], dtype=np.uint8)}
    named = [part for part in parts if part != 0]
    for index, part in enumerate(named):
        # Beyond the palette parts are too small to be looked for.
        colours[part] = np.array(CATEGORIES[min(index, len(CATEGORIES) - 2)], dtype=np.uint8)
    return {part: colours[part] for part in parts}


def _css(colour: np.ndarray) -> str:
    return "#" + "".join(f"{int(value):02x}" for value in colour)


def _highlight(
    below: np.ndarray, labels: np.ndarray, inside: np.ndarray, colours: dict[int, np.ndarray]
) -> np.ndarray:
    """Labels in colours: strong where the mistake is, faint elsewhere, with a bright outline around it."""
    painted = np.zeros_like(below)
    for value, colour in colours.items():
        painted[labels == np.uint64(value)] = colour
    here = np.isin(labels, np.array(list(colours), dtype=np.uint64))
    opacity = np.where(inside, 0.62, np.where(here, 0.28, 0.0))
    image = blend(below, painted, opacity)
    image[boundaries(labels) & ~inside] = image[boundaries(labels) & ~inside] // 2 + 40
    image[boundaries(inside.astype(np.uint8))] = (255, 255, 255)
    return image
