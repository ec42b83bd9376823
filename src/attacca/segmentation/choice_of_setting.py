"""Choice of one of the settings that were scored on validation volumes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import ConfigurationError

# Scores that differ by this share of the best one count as equal.
_EQUAL = 0.01


def choose_setting(
    settings: Sequence[tuple[FragmentSettings, AgglomerationSettings]],
    rows: Sequence[Mapping[str, Any]],
    criterion: str,
    higher_is_better: bool,
) -> int:
    """Return the index of the best setting, with the threshold in the middle of those that are about as good.

    On a small volume, the scores of a wide range of thresholds are equal. The lowest of them merges nearly too much, and
    merges more in other volumes, the highest one splits. The threshold of the best setting, the first one of several, is
    therefore replaced by the median of the adjacent thresholds whose scores differ from it by at most 1 %.

    Args:
        settings: settings of fragments and agglomeration.
        rows: scores of each setting.
        criterion: score that decides.
        higher_is_better: of the criterion.

    Raises:
        ConfigurationError: no score is finite.

    >>> thresholds = [0.2, 0.3, 0.4, 0.5, 0.6]
    >>> settings = [(FragmentSettings(chain="seeded"), AgglomerationSettings(threshold=t)) for t in thresholds]
    >>> rows = [{"voi": voi} for voi in (0.8, 0.5, 0.5, 0.5, 0.9)]
    >>> settings[choose_setting(settings, rows, "voi", False)][1].threshold
    0.4
    """
    scores = [-row[criterion] if higher_is_better else row[criterion] for row in rows]
    finite = [index for index, score in enumerate(scores) if math.isfinite(score)]
    if not finite:
        raise ConfigurationError(
            f"no setting has a finite {criterion} on the validation volumes; "
            "validate on volumes that have labels inside the mask"
        )
    best = min(finite, key=lambda index: (scores[index], index))
    limit = scores[best] + _EQUAL * abs(scores[best])
    other = _without_threshold(settings[best])
    alike = [index for index in finite if _without_threshold(settings[index]) == other]
    alike.sort(key=lambda index: settings[index][1].threshold)
    return find_middle(alike, best, lambda index: scores[index] <= limit)


def find_middle(ascending: Sequence[int], best: int, is_equal: Callable[[int], bool]) -> int:
    """Return the middle one of the adjacent settings around the best one that are about as good; of two, the lower one.

    Args:
        ascending: indices of settings in the order of their thresholds.
        best: one of them.
        is_equal: whether the setting with an index is about as good as the best one.

    >>> find_middle([4, 7, 5, 6], 7, lambda index: index > 4)
    5
    """
    first = last = ascending.index(best)
    while first > 0 and is_equal(ascending[first - 1]):
        first -= 1
    while last + 1 < len(ascending) and is_equal(ascending[last + 1]):
        last += 1
    return ascending[(first + last) // 2]


def _without_threshold(
    setting: tuple[FragmentSettings, AgglomerationSettings],
) -> tuple[FragmentSettings, AgglomerationSettings]:
    fragments, agglomeration = setting
    # The threshold of connected components is a setting of both.
    return fragments.model_copy(update={"threshold": 0.5}), agglomeration.model_copy(
        update={"threshold": 0.5}
    )
