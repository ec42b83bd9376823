"""Scores: names, values, directions, bounds and conventions."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attacca.evaluators.findings import Findings
    from attacca.evaluators.nested_regions import RegionSize

UNBOUNDED = math.nan
"""Value in ``bounds`` of a side without bound."""


@dataclass(frozen=True)
class Criterion:
    """One kind of score.

    Attributes:
        name: name of the score in configurations and results.
        higher_is_better: direction of improvement.
        bounds: smallest and largest possible value; ``UNBOUNDED`` (nan) for a side without bound.
        unit: ``"bits"``, the length unit of the volume for distances, or "" for a plain number.
        store_best: True if training keeps the best checkpoint by this criterion.
        convention: definition and conventions, to compare the value with that of another program.

    Examples:
        >>> Criterion("voi", higher_is_better=False).is_better(1.2, 1.5)
        True
    """

    name: str
    higher_is_better: bool
    bounds: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    store_best: bool = False
    convention: str = ""

    def is_better(self, score: float, other: float) -> bool:
        """Return whether ``score`` is strictly better than ``other``; nan is worse than any number."""
        if math.isnan(score):
            return False
        if math.isnan(other):
            return True
        return score > other if self.higher_is_better else score < other


@dataclass(frozen=True)
class Coverage:
    """Shares of the counted voxels that belong to an object.

    Attributes:
        segmented: share of the voxels in a segment.
        labeled: share of the voxels in a labeled object.

    >>> Coverage(0.84, 0.11).differs, Coverage(0.98, 0.75).differs
    (True, False)
    """

    segmented: float
    labeled: float

    @property
    def differs(self) -> bool:
        """Return whether one share is more than twice the other, and they differ by more than 5 % of the voxels."""
        low, high = sorted((self.segmented, self.labeled))
        return high > 2 * low and high - low > 0.05

    def describe(self) -> str:
        """Return a warning about shares that differ.

        >>> print(Coverage(0.84, 0.11).describe())
        84 % of the voxels are segmented, but 11 % are labeled: the segmentation fills the background. ...
        """
        found = (
            f"{self.segmented:.0%} of the voxels are segmented, but {self.labeled:.0%} are labeled".replace(
                "%", " %"
            )
        )
        if self.segmented < self.labeled:
            return (
                f"{found}: the segmentation misses most of the objects. Lower segmentation.background_below, or train "
                "longer"
            )
        return (
            f"{found}: the segmentation fills the background. Set segmentation.objects: sparse; if 0 marks voxels without "
            "annotation, set labels.unlabelled: 0"
        )


class EvaluationScores:
    """The scores of one segmentation. Each is an attribute with the name of its criterion; nan if undefined.

    Args:
        criteria: the criteria, in the order of reports.
        values: values by name.

    Raises:
        ValueError: ``values`` has a name that is not among ``criteria``.

    Examples:
        >>> scores = EvaluationScores([Criterion("dice", True), Criterion("voi", False)], {"dice": 0.75})
        >>> scores.dice, scores.voi
        (0.75, nan)
    """

    coverage: "Coverage | None" = None
    """Shares of the counted voxels in objects; None for scores that do not compare objects."""

    findings: "Findings | None" = None
    """Numbers of objects with errors; None for scores that do not compare objects."""

    regions: "Sequence[RegionSize]" = ()
    """Variation of information of nested parts of the region; empty unless they are compared."""

    def __init__(self, criteria: Iterable[Criterion], values: Mapping[str, float] | None = None) -> None:
        self._criteria = {criterion.name: criterion for criterion in criteria}
        unknown = sorted(set(values or {}) - set(self._criteria))
        if unknown:
            raise ValueError(
                f"unknown criteria: {', '.join(unknown)}; expected some of {', '.join(self._criteria)}"
            )
        self._values = dict.fromkeys(self._criteria, math.nan)
        self._values.update({name: float(value) for name, value in (values or {}).items()})

    @property
    def criteria(self) -> list[str]:
        """Names of all scores, in the order of reports."""
        return list(self._criteria)

    def criterion(self, name: str) -> Criterion:
        """Return the criterion called ``name``.

        Raises:
            ValueError: no criterion has this name.
        """
        try:
            return self._criteria[name]
        except KeyError:
            known = ", ".join(self._criteria)
            raise ValueError(f"criterion: found {name!r}, expected one of {known}") from None

    def find_criteria(self, name: str) -> list[str]:
        """Return the criterion called ``name``, or those of all channels if ``name`` omits the channel.

        Raises:
            ValueError: no criterion has this name.
        """
        if name in self._criteria:
            return [name]
        matches = [full for full in self._criteria if full.endswith(f"__{name}")]
        return matches or [self.criterion(name).name]

    def higher_is_better(self, criterion: str) -> bool:
        """Return whether larger values of ``criterion`` are better; its channel may be omitted.

        Raises:
            ValueError: no criterion has this name.
        """
        return self.criterion(self.find_criteria(criterion)[0]).higher_is_better

    def mean_value(self, criterion: str) -> float:
        """Return the value of a criterion; without its channel, the mean over the channels with a value.

        Raises:
            ValueError: no criterion has this name.
        """
        values = [self._values[name] for name in self.find_criteria(criterion)]
        defined = [value for value in values if not math.isnan(value)]
        return sum(defined) / len(defined) if defined else math.nan

    def bounds(self, criterion: str) -> tuple[float, float]:
        """Return the smallest and largest possible value of ``criterion``; nan for a side without bound."""
        return self.criterion(criterion).bounds

    def store_best(self, criterion: str) -> bool:
        """Return whether the best checkpoint by ``criterion`` is kept."""
        return self.criterion(criterion).store_best

    def value(self, name: str) -> float:
        """Return the value of the score called ``name``."""
        self.criterion(name)
        return self._values[name]

    def channel(self, name: str) -> str | None:
        """Return the channel or class of the score called ``name``; None for a score of the whole segmentation."""
        self.criterion(name)
        return None

    def to_dict(self) -> dict[str, float]:
        """Return all values by name."""
        return dict(self._values)

    def __getattr__(self, name: str) -> float:
        if not name.startswith("_") and name in self._values:
            return self._values[name]
        raise AttributeError(f"{type(self).__name__} has no score {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EvaluationScores) or self.criteria != other.criteria:
            return False
        pairs = zip(self._values.values(), other._values.values())
        return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.6g}" for name, value in self._values.items())
        return f"{type(self).__name__}({values})"


class ChannelScores(EvaluationScores):
    """Scores of several channels or classes, with names such as ``nucleus__dice``.

    Args:
        channel_scores: name and scores of each channel, in order.

    Raises:
        ValueError: two channels have the same name.

    Examples:
        >>> dice = EvaluationScores([Criterion("dice", True)], {"dice": 0.75})
        >>> ChannelScores([("nucleus", dice)]).nucleus__dice
        0.75
    """

    def __init__(self, channel_scores: Iterable[tuple[str, EvaluationScores]]) -> None:
        self.channel_scores = list(channel_scores)
        names = [name for name, _ in self.channel_scores]
        if len(set(names)) != len(names):
            raise ValueError(f"two channels have the same name: {', '.join(names)}")
        criteria, values = [], {}
        self._channel_of: dict[str, str] = {}
        for channel, scores in self.channel_scores:
            for name in scores.criteria:
                full = f"{channel}__{name}"
                criteria.append(replace(scores.criterion(name), name=full))
                values[full] = scores.value(name)
                self._channel_of[full] = channel
        super().__init__(criteria, values)

    def channel(self, name: str) -> str | None:
        """Return the channel of the score called ``name``."""
        self.criterion(name)
        return self._channel_of[name]


def _as_json_number(value: float) -> float | None:
    """Return None for nan and infinity, which JSON does not have."""
    return float(value) if math.isfinite(value) else None


def scores_to_json(scores: EvaluationScores) -> list[dict[str, Any]]:
    """Return all scores as plain values for a JSON file, in their order.

    Returns:
        For each score ``name`` (without its channel), ``value`` (None for nan), ``unit``,
        ``higher_is_better``, ``bounds`` (None for a side without bound), ``convention`` and ``channel`` (None
        for a score of the whole segmentation).

    Examples:
        >>> row, = scores_to_json(EvaluationScores([Criterion("dice", True)], {"dice": 0.75}))
        >>> row["name"], row["value"], row["channel"]
        ('dice', 0.75, None)
    """
    rows: list[dict[str, Any]] = []
    for name in scores.criteria:
        criterion, channel = scores.criterion(name), scores.channel(name)
        rows.append(
            {
                "name": name.removeprefix(f"{channel}__") if channel is not None else name,
                "value": _as_json_number(scores.value(name)),
                "unit": criterion.unit,
                "higher_is_better": criterion.higher_is_better,
                "bounds": [_as_json_number(bound) for bound in criterion.bounds],
                "convention": criterion.convention,
                "channel": channel,
            }
        )
    return rows
