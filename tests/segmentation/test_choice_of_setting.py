"""The setting that a tuner chooses: the best one, with a threshold amid those that are about as good."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.errors import ConfigurationError
from attacca.segmentation.choice_of_setting import choose_setting

Setting = tuple[FragmentSettings, AgglomerationSettings]


def make_settings(thresholds: list[float], sizes: tuple[int, ...] = (0,)) -> list[Setting]:
    fragments = FragmentSettings(chain="seeded")
    return [
        (fragments, AgglomerationSettings(threshold=threshold, min_size=size))
        for size in sizes
        for threshold in thresholds
    ]


def choose(settings: list[Setting], scores: list[float], higher: bool = False) -> AgglomerationSettings:
    return settings[choose_setting(settings, [{"score": score} for score in scores], "score", higher)][1]


def test_of_equal_scores_the_threshold_in_the_middle_is_chosen_in_any_order():
    settings = make_settings([0.6, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert choose(settings, [0.9, 0.7, 0.5, 0.5, 0.5, 0.7]).threshold == 0.3
    assert choose(settings, [0.1, 0.3, 0.5, 0.5, 0.5, 0.3], higher=True).threshold == 0.3
    # The lower one of two.
    assert choose(settings, [0.9, 0.7, 0.5, 0.5, 0.9, 0.9]).threshold == 0.2


def test_scores_within_one_percent_count_as_equal_if_they_are_adjacent():
    settings = make_settings([0.1, 0.2, 0.3, 0.4, 0.5])
    assert choose(settings, [0.5, 0.503, 0.504, 0.6, 0.5]).threshold == 0.2
    assert choose(settings, [0.5, 0.503, 0.506, 0.6, 0.5]).threshold == 0.1
    assert choose(settings, [0.9, math.nan, 0.5, 0.5, 0.5]).threshold == 0.4
    # Scores of zero are equal to zero alone.
    assert choose(settings, [0.1, 0.0, 0.0, 0.0, 0.001]).threshold == 0.3


def test_other_settings_are_those_of_the_best_score():
    settings = make_settings([0.1, 0.2, 0.3], sizes=(0, 100))
    chosen = choose(settings, [0.52, 0.52, 0.52, 0.502, 0.5, 0.503])
    assert (chosen.min_size, chosen.threshold) == (100, 0.2)
    first = choose(settings, [0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert (first.min_size, first.threshold) == (0, 0.2)


def test_thresholds_of_connected_components_count_too():
    settings = [
        (
            FragmentSettings(chain="connected_components", threshold=t),
            AgglomerationSettings(method="contact", threshold=t),
        )
        for t in (0.3, 0.4, 0.5, 0.6)
    ]
    assert choose(settings, [0.9, 0.9, 0.9, 0.1], higher=True).threshold == 0.4


@given(
    scores=st.lists(
        st.sampled_from([0.0, 0.2, 0.2001, 0.5, 1.0, math.nan, math.inf]), min_size=1, max_size=12
    ),
    higher=st.booleans(),
)
def test_the_chosen_score_is_never_more_than_one_percent_worse_than_the_best(scores, higher):
    settings = make_settings([0.05 * (index + 1) for index in range(len(scores))])
    finite = [score for score in scores if math.isfinite(score)]
    if not finite:
        with pytest.raises(ConfigurationError, match="no setting has a finite score"):
            choose(settings, scores, higher)
        return
    best = max(finite) if higher else min(finite)
    rows = [{"score": score} for score in scores]
    assert abs(scores[choose_setting(settings, rows, "score", higher)] - best) <= 0.01 * best + 1e-12
