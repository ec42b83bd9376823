"""Scores for the page, for a table file and for the terminal."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attacca.atomic import write_text
from attacca.config.units import SYMBOLS
from attacca.report.results import Results, read_json

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
"""Scores that come first in a comparison, in this order."""

_LABELS = {
    "voi": "VOI",
    "voi_split": "VOI split",
    "voi_merge": "VOI merge",
    "adapted_rand_error": "adapted Rand error",
    "rand_precision": "Rand precision",
    "rand_recall": "Rand recall",
    "cremi_score": "CREMI score",
    "erl": "expected run length",
    "nerl": "normalized expected run length",
    "f1_score": "F1",
    "hausdorff": "Hausdorff distance",
}

_THRESHOLD = re.compile(r"_iou(?P<percent>[0-9.]+)$")
"""End of the names of scores at a threshold of intersection over union."""

ScoreKey = tuple[str | None, str]
"""Channel and name. Scores with the same key are comparable."""


@dataclass(frozen=True)
class Score:
    """One score of a segmentation, with everything that is needed to interpret it.

    Attributes:
        name: name in the configuration.
        value: nan if it is not defined.
        unit: ``"bits"``, a unit of length, or "".
        higher_is_better: direction of improvement.
        bounds: smallest and largest possible value, None without a bound.
        convention: how it was computed.
        channel: channel or class of the score, None for a score of the whole segmentation.
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
        """Read a score from a row of ``scores.json``."""
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
    def key(self) -> ScoreKey:
        """Channel and name."""
        return self.channel, self.name

    @property
    def label(self) -> str:
        """Name for readers.

        >>> Score("average_precision_iou75", 0.5).label, Score("cremi_score", 0.3, channel="cells").label
        ('average precision at IoU 0.75', 'cells: CREMI score')
        """
        threshold = _THRESHOLD.search(self.name)
        name = self.name[: threshold.start()] if threshold else self.name
        text = "F1" if name == "f1" else _LABELS.get(name, name.replace("_", " "))
        if threshold:
            text += f" at IoU {float(threshold['percent']) / 100:g}"
        return f"{self.channel}: {text}" if self.channel else text

    @property
    def unit_symbol(self) -> str:
        """Symbol of the unit, such as ``nm``; ``bits`` has none and stays as it is."""
        return SYMBOLS.get(self.unit, self.unit)

    @property
    def arrow(self) -> str:
        """Arrow in the direction of improvement."""
        return "↑" if self.higher_is_better else "↓"

    @property
    def direction(self) -> str:
        """Direction of improvement in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def text(self) -> str:
        """The value as ``format_score`` writes it."""
        return format_score(self.value)

    def is_better(self, other: "Score") -> bool:
        """Return whether this value is strictly better. An undefined value is worse than any other."""
        if math.isnan(self.value):
            return False
        if math.isnan(other.value):
            return True
        return self.value > other.value if self.higher_is_better else self.value < other.value


def format_score(value: float) -> str:
    """Format a score: three decimals below 100, none from 1000, a dash for nan.

    >>> format_score(0.12345), format_score(1234.5), format_score(float("nan"))
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
    """Read the scores of one segmentation; empty if it was not evaluated or the file is broken."""
    return _parse_scores(results, run, volume) or []


def read_warnings(results: Results, run: str, volume: str) -> list[str]:
    """Return the warnings of the evaluation of a segmentation; empty without any."""
    found = read_json(results.layout.scores(run, volume)).get("warnings")
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def describe_broken_scores(results: Results, run: str, volume: str) -> str:
    """Name a file of scores that cannot be read, and the fix, as a clause; empty if the file is fine or missing."""
    path = results.layout.scores(run, volume)
    if not path.exists() or _parse_scores(results, run, volume) is not None:
        return ""
    name = path.relative_to(results.directory)
    return f"{name} is broken: delete it and start the workflow again, which repeats the evaluation"


def _parse_scores(results: Results, run: str, volume: str) -> list[Score] | None:
    rows = read_json(results.layout.scores(run, volume)).get("scores")
    if not isinstance(rows, list):
        return None
    try:
        return [Score.from_json(row) for row in rows if isinstance(row, Mapping) and row.get("name")]
    except (TypeError, ValueError, LookupError):
        return None


def choose_principal_keys(
    scores: Iterable[Score], criterion: str | None = None, limit: int = 6
) -> list[ScoreKey]:
    """Choose the scores that come first: the criterion, then the best-known ones.

    Args:
        scores: scores of all segmentations that are compared.
        criterion: the score by which the configuration chooses settings.
        limit: largest number of keys.

    >>> choose_principal_keys([Score("recall_iou50", 0.9), Score("voi", 0.4)])
    [(None, 'voi')]
    """
    keys = list(dict.fromkeys(score.key for score in scores))
    # Means over classes come before single classes.
    keys.sort(key=lambda key: key[0] != "mean")
    order = [criterion, *_PRINCIPAL] if criterion else list(_PRINCIPAL)
    chosen = [key for name in order for key in keys if name in (key[1], f"{key[0]}__{key[1]}")]
    means = [key for key in chosen if key[0] == "mean"]
    chosen = list(dict.fromkeys([*means, *chosen])) or keys
    return chosen[:limit]


def group_comparable(scores: Sequence[Sequence[Score]]) -> list[list[int]]:
    """Group segmentations that have the same kinds of scores.

    Args:
        scores: scores of each segmentation.

    Returns:
        Indices of the segmentations in each group. Segmentations without scores are left out.
    """
    groups: dict[frozenset[ScoreKey], list[int]] = {}
    for index, own in enumerate(scores):
        if own:
            groups.setdefault(frozenset(score.key for score in own), []).append(index)
    return list(groups.values())


def find_best(scores: Sequence[Score], volumes: Sequence[str]) -> set[int]:
    """Return the indices of the best scores on each volume. A volume needs two scores for a comparison.

    Args:
        scores: one kind of score of several segmentations.
        volumes: volume of each segmentation.

    >>> sorted(find_best([Score("dice", 0.5), Score("dice", 0.7), Score("dice", 0.9)], ["a", "a", "b"]))
    [1]
    """
    best: set[int] = set()
    for name in set(volumes):
        candidates = [
            (index, score)
            for index, (score, volume) in enumerate(zip(scores, volumes))
            if volume == name and not math.isnan(score.value)
        ]
        if len(candidates) > 1:
            values = [score.value for _, score in candidates]
            extreme = max(values) if candidates[0][1].higher_is_better else min(values)
            best |= {index for index, score in candidates if score.value == extreme}
    return best


def write_scores_table(path: Path, rows: Iterable[tuple[str, str, str, Score]]) -> None:
    """Write all scores as tab-separated text, one score per line.

    Args:
        path: the file.
        rows: run, volume, purpose of the volume (``validation`` or ``test``), score.
    """
    lines = ["run\tvolume\tpurpose\tchannel\tscore\tvalue\tunit\thigher_is_better\tconvention"]
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
