"""Scores as tables: for the page, for other programs, and for the terminal."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacca.atomic import write_text
from attacca.config.units import SYMBOLS
from attacca.report.results import Results, read_json

# The scores that a comparison begins with, where they were computed.
_PRINCIPAL = (
    "voi",
    "voi_split",
    "voi_merge",
    "adapted_rand_error",
    "average_precision",
    "f1_iou50",
    "dice",
    "jaccard",
    "f1_score",
    "hausdorff",
    "mean_false_distance",
)
_LABELS = {
    "voi": "VOI",
    "voi_split": "VOI split",
    "voi_merge": "VOI merge",
    "adapted_rand_error": "adapted Rand error",
    "f1_iou50": "F1 at IoU 0.5",
    "f1_score": "F1",
    "hausdorff": "Hausdorff distance",
}


@dataclass(frozen=True)
class Score:
    """One number that says how good a segmentation is, with what is needed to read it.

    Attributes:
        name: as users write it.
        value: nan where it is not defined.
        unit: ``"bits"``, a unit of length, or "".
        higher_is_better: the direction of improvement.
        bounds: smallest and largest possible value, None where there is none.
        convention: how it was computed.
        channel: the channel or class that it belongs to, None where it belongs to all.
    """

    name: str
    value: float
    unit: str = ""
    higher_is_better: bool = True
    bounds: tuple[float | None, float | None] = (None, None)
    convention: str = ""
    channel: str | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Score":
        """A score from a row of ``scores.json``."""
        value = row.get("value")
        bounds = row.get("bounds") or (None, None)
        return cls(
            name=str(row.get("name", "")),
            value=math.nan if value is None else float(value),
            unit=str(row.get("unit") or ""),
            higher_is_better=bool(row.get("higher_is_better", True)),
            bounds=(bounds[0], bounds[1]),
            convention=str(row.get("convention") or ""),
            channel=row.get("channel"),
        )

    @property
    def key(self) -> tuple[str | None, str]:
        """Channel and name: what makes two scores comparable."""
        return self.channel, self.name

    @property
    def label(self) -> str:
        """The name as people say it."""
        text = _LABELS.get(self.name, self.name.replace("_", " "))
        return f"{self.channel}: {text}" if self.channel else text

    @property
    def unit_symbol(self) -> str:
        """``nm`` for ``nanometer``; other units as they are."""
        return SYMBOLS.get(self.unit, self.unit)

    @property
    def arrow(self) -> str:
        """Points in the direction of improvement."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def direction(self) -> str:
        """The direction of improvement in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def text(self) -> str:
        """The value with a precision that can be trusted, a dash where it is not defined."""
        return format_value(self.value)

    def is_better(self, other: "Score") -> bool:
        """Whether this value is strictly better; a value that is not defined never is."""
        if math.isnan(self.value):
            return False
        if math.isnan(other.value):
            return True
        return self.value > other.value if self.higher_is_better else self.value < other.value


def format_value(value: float) -> str:
    """Three decimals below 100, thousands without decimals, a dash for nan.

    >>> format_value(0.12345), format_value(1234.5), format_value(float("nan"))
    ('0.123', '1234', '–')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def read_scores(results: Results, run: str, volume: str) -> list[Score]:
    """The scores of one segmentation; empty where it was not evaluated, or the file is broken."""
    return _scores_of(results, run, volume) or []


def broken_scores(results: Results, run: str, volume: str) -> str:
    """What is to be done about a file of scores that is there and cannot be read; empty where there is none."""
    name = f"{run}/{volume}/scores.json"
    if not (results.directory / name).exists() or _scores_of(results, run, volume) is not None:
        return ""
    return f"{name} is broken: delete it and start the workflow again, which evaluates anew"


def _scores_of(results: Results, run: str, volume: str) -> list[Score] | None:
    rows = read_json(results.layout.scores(run, volume)).get("scores")
    if not isinstance(rows, list):
        return None
    try:
        return [Score.from_json(row) for row in rows if isinstance(row, Mapping) and row.get("name")]
    except (TypeError, ValueError, LookupError):
        return None


def principal_keys(
    scores: Iterable[Score], criterion: str | None = None, limit: int = 6
) -> list[tuple[str | None, str]]:
    """The scores that a reader looks at first: the criterion, then the best known ones.

    Args:
        scores: of all segmentations that are compared.
        criterion: the score by which the configuration chooses, if it names one.
        limit: largest number of keys.
    """
    keys = list(dict.fromkeys(score.key for score in scores))
    # Means over classes before single classes.
    keys.sort(key=lambda key: key[0] != "mean")
    order = [criterion, *_PRINCIPAL] if criterion else list(_PRINCIPAL)
    chosen = [key for name in order for key in keys if name in (key[1], f"{key[0]}__{key[1]}")]
    averaged = [key for key in chosen if key[0] == "mean"]
    chosen = list(dict.fromkeys([*averaged, *chosen])) or keys
    return chosen[:limit]


def comparable_groups(scores: Sequence[Sequence[Score]]) -> list[list[int]]:
    """Indices of segmentations that were scored in the same ways; those without scores are left out."""
    groups: dict[frozenset[tuple[str | None, str]], list[int]] = {}
    for index, own in enumerate(scores):
        if own:
            groups.setdefault(frozenset(score.key for score in own), []).append(index)
    return list(groups.values())


def best_of(scores: Sequence[Score | None]) -> set[int]:
    """Indices of the best scores of a column; empty where there is nothing to compare."""
    there = [(index, score) for index, score in enumerate(scores) if score and not math.isnan(score.value)]
    if len(there) < 2:
        return set()
    best = there[0][1]
    for _, score in there[1:]:
        best = score if score.is_better(best) else best
    return {index for index, score in there if score.value == best.value}


def write_scores_table(path: Path, rows: Iterable[tuple[str, str, str, Score]]) -> None:
    """Write all scores as tab-separated text, one score a line.

    Args:
        path: the file.
        rows: run, volume, purpose of the volume (``validation`` or ``test``), score.
    """
    header = "run\tvolume\tpurpose\tchannel\tscore\tvalue\tunit\thigher_is_better\tconvention"
    lines = [header]
    for run, volume, purpose, score in rows:
        cells = [
            run,
            volume,
            purpose,
            score.channel or "",
            score.name,
            "nan" if math.isnan(score.value) else repr(score.value),
            score.unit,
            str(score.higher_is_better).lower(),
            " ".join(score.convention.split()),
        ]
        lines.append("\t".join(cells))
    write_text(path, "\n".join(lines) + "\n")
