"""Damaged configurations end in a message or are other valid ones; ``benchmarks/fuzz.py`` tries hundreds of them."""

import random

import pytest

from damaged_files import FAULTS, try_damages_here
from damaged_projects import CONFIGURATIONS, ROOT, create_judge, damage_configuration

NUM_DAMAGES = 60


@pytest.mark.timeout(900)
def test_damaged_configurations_end_in_a_message_or_are_valid(tmp_path):
    (tmp_path / "project/results").mkdir(parents=True)
    (tmp_path / "damaged").mkdir()
    tasks = [(number % len(CONFIGURATIONS), number) for number in range(NUM_DAMAGES)]
    outcomes = try_damages_here(tasks, tmp_path / "damaged", create_judge(tmp_path / "project"))
    faults = [outcome for outcome in outcomes if outcome.kind in FAULTS]
    assert len(outcomes) == NUM_DAMAGES and not faults, "\n".join(map(str, faults))
    assert sum(outcome.kind == "refused" for outcome in outcomes) > NUM_DAMAGES / 2


def test_equal_seeds_give_equal_damages():
    path = ROOT / CONFIGURATIONS[0]
    damages = [damage_configuration(path, random.Random(seed)) for seed in (1, 1, *range(20))]
    assert damages[0] == damages[1]
    assert len({content for _, content in damages}) > 15
