"""The error atlas: the most expensive split and merge errors, each with cut-outs of the images."""

from dataclasses import dataclass

import numpy as np

from attacca.arrays import Array
from attacca.evaluators.object_errors import find_pieces
from attacca.report.colors import CATEGORIES, blend, find_boundaries, format_css, gray_to_rgb
from attacca.report.hatching import NOT_ANNOTATED, hatch_with_swatch
from attacca.report.label_overlap import LabelOverlap
from attacca.report.label_pictures import find_unannotated
from attacca.report.pictures import Picture, make_picture, normalize_contrast
from attacca.report.planes import View, make_scale_bar, place_window, read_plane
from attacca.report.segment_errors import ErrorKind, SegmentError, find_contact, rank_segment_errors

CUT_OUT = 128
"""Pixels along a side of a cut-out."""

LISTED_PARTS = 4
"""Number of parts that have a color of their own and are named in the legend."""


@dataclass(frozen=True)
class AtlasEntry:
    """One error as it appears on the page.

    Attributes:
        error: the split or merge error.
        rank: rank by share, from 1.
        part_of_total: share as a fraction of VOI split or VOI merge of the volume.
        center: center of the cut-outs in world units.
        pictures: raw, ground truth, segmentation.
        parts: name, voxels and color of the largest parts.
        plane: axes and position of the plane of the cut-outs.
        bar: length of the scale bar; empty without one.
        bar_width: its fraction of the width.
        link: opens the location in a viewer; empty without a viewer.
    """

    error: SegmentError
    rank: int
    part_of_total: float
    center: tuple[int, ...]
    pictures: tuple[Picture, ...]
    parts: tuple[tuple[str, int, str], ...]
    plane: str
    bar: str
    bar_width: float
    link: str = ""

    @property
    def description(self) -> str:
        """The error in words, such as ``object 4: 61.0 % in segment 6, the rest in 1 other segment``."""
        noun, part_noun = _nouns(self.error.kind)
        error, total = self.error, sum(self.error.voxels)
        first = error.parts[0]
        place = f"in {part_noun} {first}" if first else "unsegmented"
        text = f"{noun} {error.whole}: {_format_share(error.voxels[0], total)} {place}"
        rest = []
        number = error.pieces - (first != 0)
        if number > 0:
            rest.append(f"in {number} {'other ' if first else ''}{part_noun}{'s' * (number > 1)}")
        if 0 in error.parts[1:]:
            rest.append("unsegmented")
        number = sum(part != 0 for part in error.parts) - error.pieces
        if number:
            slivers = sum([voxels for part, voxels in zip(error.parts, error.voxels) if part][error.pieces :])
            rest.append(
                f"along boundaries ({_format_share(slivers, total)} in {number} {part_noun}{'s' * (number > 1)})"
            )
        return f"{text}, the rest {' or '.join(rest)}" if rest else text


def _format_share(voxels: int, total: int) -> str:
    return f"{100 * voxels / total:.1f} %"


def make_error_atlas(
    raw: Array,
    segmentation: Array,
    ground_truth: Array,
    overlap: LabelOverlap,
    kind: ErrorKind,
    count: int = 8,
    mask: Array | None = None,
    unlabelled: int | None = None,
) -> list[AtlasEntry]:
    """Make the entries of the most expensive errors, without differences of boundaries.

    Args:
        raw: gray values; its voxels become pixels.
        segmentation, ground_truth: ids, on one grid of voxels.
        overlap: overlap of the two.
        kind: ``"split"`` or ``"merge"``.
        count: largest number of entries.
        mask: 0 for voxels that do not count; None if all count.
        unlabelled: id of voxels without annotation; None if all voxels are annotated.
    """
    entries: list[AtlasEntry] = []
    for error in rank_segment_errors(overlap.table, kind, count, find_pieces(overlap.table)):
        contact = find_contact(error, overlap, segmentation, ground_truth)
        if contact is None:
            continue
        view = place_window(
            raw, overlap.roi, contact.center, contact.axis if raw.dims == 3 else None, CUT_OUT
        )
        colors = _choose_part_colors(error.parts)
        part_noun = _nouns(kind)[1]
        parts = tuple(
            (f"{part_noun} {part}" if part else "unsegmented", voxels, format_css(colors[part]))
            for part, voxels in zip(error.parts[:LISTED_PARTS], error.voxels)
        )
        entries.append(
            AtlasEntry(
                error,
                len(entries) + 1,
                error.part_of_total,
                tuple(int(value) for value in contact.center),
                _draw_cut_outs(
                    error,
                    view,
                    raw,
                    segmentation,
                    ground_truth,
                    colors,
                    find_unannotated(ground_truth, mask, unlabelled, view),
                ),
                parts,
                view.title,
                *make_scale_bar(view),
            )
        )
    return entries


def _nouns(kind: ErrorKind) -> tuple[str, str]:
    """Return the names of the whole and of a part."""
    return ("object", "segment") if kind == "split" else ("segment", "object")


def _draw_cut_outs(
    error: SegmentError,
    view: View,
    raw: Array,
    segmentation: Array,
    ground_truth: Array,
    colors: dict[int, np.ndarray],
    unannotated: np.ndarray,
) -> tuple[Picture, ...]:
    gray = read_plane(raw, view)
    gray = normalize_contrast(gray[0] if gray.ndim == 3 else gray)
    object_ids = read_plane(ground_truth, view, stored=True)
    segment_ids = read_plane(segmentation, view, stored=True)
    is_split = error.kind == "split"
    whole_ids, part_ids = (object_ids, segment_ids) if is_split else (segment_ids, object_ids)
    mask = whole_ids == np.uint64(error.whole)
    below = gray_to_rgb(gray)
    whole_color = {error.whole: colors[error.parts[0]]}
    # The border of an annotation is not a boundary of an object.
    object_border, segment_border = unannotated, None
    whole_border, part_border = (
        (object_border, segment_border) if is_split else (segment_border, object_border)
    )
    whole_image = _highlight(below, whole_ids, mask, whole_color, whole_color, whole_border, whole_border)
    # Parts that are not in the legend are colored inside the outline alone.
    outside = {part: colors[part] for part in error.parts[:LISTED_PARTS]}
    part_image = _highlight(below, part_ids, mask, colors, outside, part_border, whole_border)
    images = (whole_image, part_image) if is_split else (part_image, whole_image)
    location = f"{_nouns(error.kind)[0]} {error.whole}, {view.title}"
    legend = f"white line: {_nouns(error.kind)[0]} {error.whole}"
    truth_image, swatches = hatch_with_swatch(images[0], unannotated, (), NOT_ANNOTATED, opacity=0.6)
    return (
        make_picture(gray, f"Raw image around {location}", "raw", view.pixel_size, legend="gray values"),
        make_picture(
            truth_image, f"Ground truth around {location}", "ground truth", view.pixel_size, swatches, legend
        ),
        make_picture(
            images[1], f"Segmentation around {location}", "segmentation", view.pixel_size, legend=legend
        ),
    )


def _choose_part_colors(parts: tuple[int, ...]) -> dict[int, np.ndarray]:
    """Return a color for each part, the same in every entry: gray for background, one for all small parts."""
    palette = [np.array(color, dtype=np.uint8) for color in CATEGORIES]
    colors = {0: palette[-1]}
    for index, part in enumerate(part for part in parts if part != 0):
        colors[part] = palette[min(index, len(palette) - 2)]
    return colors


def _highlight(
    below: np.ndarray,
    labels: np.ndarray,
    mask: np.ndarray,
    colors: dict[int, np.ndarray],
    outside: dict[int, np.ndarray],
    ignored: np.ndarray | None,
    ignored_in_outline: np.ndarray | None,
) -> np.ndarray:
    """Paint labels over an image: strong in the mask, faint outside, with a white outline around the mask.

    Args:
        below: the image, shape (y, x, 3).
        labels: ids, shape (y, x).
        mask: pixels of the whole, shape (y, x).
        colors: colors of ids in the mask.
        outside: colors of ids outside the mask.
        ignored: pixels without boundaries of labels; None without any.
        ignored_in_outline: pixels without an outline of the mask; None without any.
    """
    painted = np.zeros_like(below)
    opacity = np.zeros(mask.shape)
    for value, color in colors.items():
        pixels = labels == np.uint64(value)
        painted[pixels] = color
        opacity[pixels & mask] = 0.62
        if value in outside:
            opacity[pixels & ~mask] = 0.28
    image = blend(below, painted, opacity)
    edges = find_boundaries(labels, ignored) & ~mask
    image[edges] = image[edges] // 2 + 40
    image[find_boundaries(mask.astype(np.uint8), ignored_in_outline)] = (255, 255, 255)
    return image
