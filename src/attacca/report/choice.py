"""What the tuner tried and what it chose, as it stands in ``tuning.json``."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.report.provenance import Fact, short

_OF_CHAIN = {
    "mutex_watershed": (
        "bias",
        "strides",
        "min_evidence",
        "engine",
        "min_fragment_size",
        "fill_background",
        "quantised",
    ),
    "seeded": ("inside_above", "window", "max_distance"),
    "connected_components": ("threshold",),
}
_OF_EVERY_CHAIN = ("background_below", "sigma", "cell_size", "context")
_OF_METHOD = {
    "mean_affinity": ("threshold",),
    "mutex_watershed": ("threshold", "long_bias"),
    "contact": ("threshold",),
    "none": ("cell_voxels",),
}
_OF_EVERY_METHOD = ("min_size", "min_extent", "min_affinity", "debris")
_CHIEF = {"chain", "bias", "inside_above", "agglomeration", "threshold", "long_bias", "min_size"}
"""Settings that a reader asks for first, whether they were varied or not."""


@dataclass(frozen=True)
class Choice:
    """The settings that were tried on the validation volumes, and the chosen ones.

    Attributes:
        rows: every setting that was tried, with its scores.
        row: that of the chosen setting; None where nothing was compared.
        chosen: ``fragments`` and ``agglomeration``, or the parameters of a voxel-wise post-processor.
        criterion: the score by which it was chosen.
        higher_is_better: its direction, where it is noted.
    """

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    row: Mapping[str, Any] | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    criterion: str | None = None
    higher_is_better: bool = False

    @property
    def varied(self) -> set[str]:
        """Names of the columns with more than one value; settings of one chain have no value in rows of another."""
        names = {name for row in self.rows for name in row}
        return {name for name in names if len({repr(row[name]) for row in self.rows if name in row}) > 1}


def read_choice(tuning: Mapping[str, Any]) -> Choice:
    """The choice of a ``tuning.json``; what is missing or of another kind is left empty."""
    result = tuning.get("result")
    if not isinstance(result, Mapping):
        return Choice()
    table, chosen, criterion = result.get("table"), result.get("chosen"), result.get("criterion")
    rows = [row for row in table if isinstance(row, Mapping)] if isinstance(table, list) else []
    chosen = chosen if isinstance(chosen, Mapping) else {}
    return Choice(
        rows,
        _chosen_row(chosen, rows),
        chosen,
        criterion if isinstance(criterion, str) else None,
        result.get("higher_is_better") is True,
    )


def _chosen_row(chosen: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    index = chosen.get("row")
    if isinstance(index, int) and 0 <= index < len(rows):
        return rows[index]
    plain = {name: value for name, value in chosen.items() if not isinstance(value, Mapping)}
    return next((row for row in rows if plain and plain.items() <= row.items()), None)


def is_number(value: Any) -> bool:
    """Whether a cell of a table can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def chosen_facts(choice: Choice) -> tuple[list[Fact], list[Fact]]:
    """The chosen settings under the names of the configuration: those that matter, and the others.

    What was varied matters, what differs from its default, and what the kind of segmentation is told by. Settings
    that the chosen chain does not read are left out.
    """
    chief: list[Fact] = []
    others: list[Fact] = []
    for name, value, usual in _in_effect(choice.chosen):
        fact = Fact(name.replace("_", " "), short(value))
        (chief if name in _CHIEF | choice.varied or not usual else others).append(fact)
    return chief, others


def _in_effect(chosen: Mapping[str, Any]) -> Iterable[tuple[str, Any, bool]]:
    """Name, value, and whether it is the default."""
    fragments, agglomeration = chosen.get("fragments"), chosen.get("agglomeration")
    if not isinstance(fragments, Mapping) or not isinstance(agglomeration, Mapping):
        for name, value in chosen.items():
            if name not in ("id", "row") and isinstance(value, str | int | float | list):
                yield name, value, False
        return
    chain, method = fragments.get("chain"), agglomeration.get("method")
    yield "chain", chain, False
    # The threshold of connected components is that of their agglomeration.
    own = [name for name in _OF_CHAIN.get(str(chain), ()) if name != "threshold"]
    yield from _described(fragments, own, FragmentSettings)
    yield "agglomeration", method, False
    yield from _described(agglomeration, _OF_METHOD.get(str(method), ()), AgglomerationSettings)
    yield from _described(agglomeration, _OF_EVERY_METHOD, AgglomerationSettings)
    yield from _described(fragments, _OF_EVERY_CHAIN, FragmentSettings)


def _described(
    values: Mapping[str, Any], names: Iterable[str], model: type[BaseModel]
) -> Iterable[tuple[str, Any, bool]]:
    for name in names:
        value, default = values.get(name), model.model_fields[name].default
        if value is not None and value != []:
            # Without a default of its own, a setting was worked out from the data.
            yield name, value, default is None or value == default
