"""Settings that the tuner tried and the setting that it chose, from ``tuning.json``."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.report.facts import Fact, format_setting

CHAIN_SETTINGS: Mapping[str, Sequence[str]] = {
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
"""Settings of fragments that each method reads."""

COMMON_CHAIN_SETTINGS = ("background_below", "sigma", "cell_size", "context")
"""Settings of fragments that every method reads."""

_METHOD_SETTINGS: Mapping[str, Sequence[str]] = {
    "mean_affinity": ("threshold",),
    "mutex_watershed": ("threshold", "long_bias"),
    "contact": ("threshold",),
    "none": ("cell_voxels",),
}
_COMMON_METHOD_SETTINGS = ("min_size", "min_extent", "min_affinity", "debris")
_ALWAYS_LISTED = {"chain", "bias", "inside_above", "agglomeration", "threshold", "long_bias", "min_size"}
"""Settings that are listed first, whether they were varied or not."""


_TITLES = {"chain": "method of fragments", "agglomeration": "method of agglomeration"}
"""Titles of settings whose names in the configuration do not explain themselves."""


@dataclass(frozen=True)
class Choice:
    """Settings that were tried on the validation volumes, and the chosen one.

    Attributes:
        rows: each setting that was tried, with its scores.
        row: row of the chosen setting; None if nothing was compared.
        chosen: ``fragments`` and ``agglomeration``, or the parameters of a voxel-wise post-processor.
        criterion: the score by which it was chosen.
        higher_is_better: direction of the criterion.
    """

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    row: Mapping[str, Any] | None = None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    criterion: str | None = None
    higher_is_better: bool = False

    @property
    def varied(self) -> set[str]:
        """Names of the columns with more than one value. Not every row has a value in every column."""
        names = {name for row in self.rows for name in row}
        return {name for name in names if len({repr(row[name]) for row in self.rows if name in row}) > 1}


def read_choice(tuning: Mapping[str, Any]) -> Choice:
    """Read the choice from the content of ``tuning.json``; missing or invalid parts are empty."""
    result = tuning.get("result")
    if not isinstance(result, Mapping):
        return Choice()
    table, chosen, criterion = result.get("table"), result.get("chosen"), result.get("criterion")
    rows = [row for row in table if isinstance(row, Mapping)] if isinstance(table, list) else []
    chosen = chosen if isinstance(chosen, Mapping) else {}
    return Choice(
        rows,
        _find_chosen_row(chosen, rows),
        chosen,
        criterion if isinstance(criterion, str) else None,
        result.get("higher_is_better") is True,
    )


def _find_chosen_row(chosen: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    index = chosen.get("row")
    if isinstance(index, int) and 0 <= index < len(rows):
        return rows[index]
    plain = {name: value for name, value in chosen.items() if not isinstance(value, Mapping)}
    return next((row for row in rows if plain and plain.items() <= row.items()), None)


def is_number(value: Any) -> bool:
    """Return whether a cell of the table is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class _Setting(NamedTuple):
    name: str
    value: Any
    is_default: bool


def list_chosen_settings(choice: Choice) -> tuple[list[Fact], list[Fact]]:
    """List the chosen settings, mostly under their names in the configuration: the principal ones, and the others.

    Principal are the settings that were varied, that differ from their defaults, or that name the method.
    Settings that the chosen method does not read are left out.
    """
    principal: list[Fact] = []
    others: list[Fact] = []
    for setting in _list_effective(choice.chosen):
        fact = Fact(_TITLES.get(setting.name, setting.name.replace("_", " ")), format_setting(setting.value))
        is_principal = setting.name in _ALWAYS_LISTED | choice.varied or not setting.is_default
        (principal if is_principal else others).append(fact)
    return principal, others


def _list_effective(chosen: Mapping[str, Any]) -> Iterator[_Setting]:
    fragments, agglomeration = chosen.get("fragments"), chosen.get("agglomeration")
    if not isinstance(fragments, Mapping) or not isinstance(agglomeration, Mapping):
        for name, value in chosen.items():
            if name not in ("id", "row") and isinstance(value, str | int | float | list):
                yield _Setting(name, value, False)
        return
    chain, method = fragments.get("chain"), agglomeration.get("method")
    yield _Setting("chain", chain, False)
    # The threshold of connected components is listed with the agglomeration, which has the same one.
    names = [name for name in CHAIN_SETTINGS.get(str(chain), ()) if name != "threshold"]
    yield from _select(fragments, names, FragmentSettings)
    yield _Setting("agglomeration", method, False)
    yield from _select(agglomeration, _METHOD_SETTINGS.get(str(method), ()), AgglomerationSettings)
    yield from _select(agglomeration, _COMMON_METHOD_SETTINGS, AgglomerationSettings)
    yield from _select(fragments, COMMON_CHAIN_SETTINGS, FragmentSettings)


def _select(values: Mapping[str, Any], names: Sequence[str], model: type[BaseModel]) -> Iterator[_Setting]:
    for name in names:
        value, default = values.get(name), model.model_fields[name].default
        if value is not None and value != []:
            # Without a default of its own, a setting was derived from the data.
            yield _Setting(name, value, default is None or value == default)
