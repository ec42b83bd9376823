"""The quality of a segmentation in plain words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attacca.evaluators.contingency import Overlaps
from attacca.evaluators.instance_scores import voi_from_table
from attacca.evaluators.object_errors import (
    REAL_SHARE,
    SIDES,
    SMALL_VOXELS,
    ObjectErrors,
    Objects,
    count_object_errors,
)
from attacca.evaluators.overlap_sizes import SelectedOverlaps


@dataclass(frozen=True)
class Findings:
    """Objects of a volume that are whole, and the errors of the others.

    Attributes:
        errors: numbers of objects.
        boundary_bits: part of the variation of information that comes from differences of boundaries.
        bits: the whole variation of information over the same voxels.
    """

    errors: ObjectErrors
    boundary_bits: float
    bits: float

    @classmethod
    def from_json(cls, values: Any) -> "Findings | None":
        """Read the values of ``to_json``; None if they are of another kind."""
        try:
            return cls(
                ObjectErrors(**values["objects"]), float(values["boundary_bits"]), float(values["bits"])
            )
        except (LookupError, TypeError, ValueError):
            return None

    def to_json(self) -> Mapping[str, Any]:
        """Return the numbers for a JSON file.

        >>> findings = Findings(ObjectErrors(4, 2, 1, 1, 2, 0, 0, 0.5, 0.01, 0.0), 0.1, 0.4)
        >>> Findings.from_json(findings.to_json()) == findings
        True
        """
        return {
            "objects": self.errors._asdict(),
            "boundary_bits": self.boundary_bits,
            "bits": self.bits,
        }

    @property
    def verdict(self) -> str:
        """The main sentence, such as ``118 of 125 objects are whole``."""
        errors = self.errors
        if errors.whole == errors.objects:
            return f"{'All ' if errors.objects > 1 else ''}{_count(errors.objects, 'object')} {_be(errors.objects)} whole"
        return f"{errors.whole} of {_count(errors.objects, 'object')} {_be(errors.whole)} whole"

    @property
    def details(self) -> str:
        """The errors in words, such as ``4 objects are split, 2 objects are merged with others``."""
        errors, parts = self.errors, []
        if errors.split:
            parts.append(f"{_count(errors.split, 'object')} {_be(errors.split)} split")
        if errors.merged:
            other = "another" if errors.merged == 1 else "others"
            parts.append(f"{_count(errors.merged, 'object')} {_be(errors.merged)} merged with {other}")
        if errors.missing:
            parts.append(f"{_count(errors.missing, 'object')} {_be(errors.missing)} missing")
        return ", ".join(parts) if parts else "no real split, no real merge"

    @property
    def extent(self) -> str:
        """The size of the whole objects in words."""
        share = f"{_percent(self.errors.whole_share)} % of the objects' voxels"
        return f"The whole objects hold {share}." if self.errors.whole else ""

    @property
    def boundaries(self) -> str:
        """The differences of boundaries in words."""
        text = f"Boundaries differ in {100 * self.errors.boundary_share:.1f} % of the objects' voxels"
        if self.bits > 0:
            text += f"; {self.boundary_bits:.3f} of {self.bits:.3f} bits of VOI come from them"
        return f"{text}."

    @property
    def rule(self) -> str:
        """Definition of an error."""
        text = (
            f"A part of an object counts as a piece from {100 * REAL_SHARE:.0f} % of its voxels on, and in small objects "
            f"from {SIDES} sides of a cube of its volume on. Smaller parts are differences of boundaries. An object is "
            f"whole if it has one piece, in a segment with less than {100 * REAL_SHARE:.0f} % of other objects."
        )
        if self.errors.small:
            text += (
                f" {_count(self.errors.small, 'object')} of fewer than {SMALL_VOXELS} voxels, such as tips at the border of "
                f"the volume, {_be(self.errors.small)} not counted: {100 * self.errors.small_share:.2g} % of the labeled "
                "voxels."
            )
        return text


def _percent(share: float) -> str:
    """Return a share in percent, in which only 0 and 1 become 0 and 100.

    >>> [_percent(share) for share in (0, 0.0001, 0.18, 0.9999, 1)]
    ['0', '0.1', '18', '99.9', '100']
    """
    is_extreme = 0 < share < 0.01 or 0.99 < share < 1
    return f"{min(max(100 * share, 0.1), 99.9):.1f}" if is_extreme else f"{100 * share:.0f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def describe_findings(table: Overlaps) -> Findings | None:
    """Describe the overlap of a segmentation with its ground truth.

    Args:
        table: voxels by segment and object.

    Returns:
        None without objects.

    >>> import numpy as np
    >>> from attacca.evaluators.contingency import ContingencyTable
    >>> segments, objects = np.array([1, 2, 3], np.uint64), np.array([7, 7, 8], np.uint64)
    >>> findings = describe_findings(ContingencyTable(segments, objects, np.array([700, 300, 500])))
    >>> f"{findings.verdict}: {findings.details}"
    '1 of 2 objects is whole: 1 object is split'
    """
    objects = Objects.measure(table)
    errors = count_object_errors(table, objects)
    if not errors.objects:
        return None
    bits = voi_from_table(table).total
    # Without the slivers, what is left of the variation of information comes from real errors.
    real = voi_from_table(
        SelectedOverlaps(table, lambda piece: objects.find_pieces(piece) | objects.find_missing(piece))
    ).total
    return Findings(errors, bits if math.isnan(real) else max(0.0, bits - real), bits)
