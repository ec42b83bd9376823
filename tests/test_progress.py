"""Lines of progress: number, rate and remaining time, with a clock that the tests set."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from attacca import progress as module
from attacca.progress import Progress


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that makes a progress, advances it at given seconds, and returns the printed lines."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    def run(steps: list[tuple[float, int]], **arguments: Any) -> list[str]:
        clock[0] = 0.0
        stream = io.StringIO()
        progress = Progress("train", stream=stream, **arguments)
        for seconds, units in steps:
            clock[0] = seconds
            progress.advance(units)
        return stream.getvalue().splitlines()

    return run


def test_the_first_line_has_no_remaining_time(advance: Callable[..., list[str]]) -> None:
    lines = advance([(20, 1), (40, 1)], total=10)
    assert lines == ["train: 1/10 blocks (10 %)", "train: 2/10 blocks (20 %), 0.05/s, 2 min 40 s left"]


def test_the_slow_first_iteration_does_not_count_for_the_remaining_time(
    advance: Callable[..., list[str]],
) -> None:
    lines = advance([(60, 1), (70, 20)], total=121, unit="iterations", warm_up=1)
    assert lines[0] == "train: 1/121 iterations (0 %)"
    assert lines[1] == "train: 21/121 iterations (17 %), 2/s, 50 s left"


def test_the_last_line_has_the_time_of_all_units_even_if_it_is_the_first(
    advance: Callable[..., list[str]],
) -> None:
    assert advance([(20, 10)], total=10, warm_up=1) == ["train: 10/10 blocks (100 %), 0.5/s, took 20 s"]


def test_units_of_an_earlier_run_do_not_count_for_the_rate(advance: Callable[..., list[str]]) -> None:
    assert advance([(20, 1), (40, 1)], total=10, done=6)[1] == "train: 8/10 blocks (80 %), 0.05/s, 40 s left"
