"""Damaged files of all formats are refused, shown or harmless; ``benchmarks/fuzz.py`` tries thousands of them."""

import random
from pathlib import Path

import numpy as np
import pytest

from damaged_files import FAULTS, READ, choose_damage, restore_payload, try_damages_here
from format_cases import CASES

NUM_FILES = 150


@pytest.mark.timeout(900)
def test_damaged_files_end_in_a_message_or_give_unchanged_voxels(tmp_path: Path):
    tasks = [(number, seed) for seed in range(2) for number in range(len(READ))][:NUM_FILES]
    outcomes = try_damages_here(tasks, tmp_path)
    assert len(outcomes) == NUM_FILES
    faults = [outcome for outcome in outcomes if outcome.kind in FAULTS]
    assert not faults, "\n".join(map(str, faults))
    # Most damages are noticed; the voxels of formats without checksums are not.
    assert sum(outcome.kind in ("refused", "shown") for outcome in outcomes) > NUM_FILES / 2


def test_equal_seeds_give_equal_damages(tmp_path: Path):
    READ[0].write(tmp_path)
    first, again = (choose_damage(tmp_path, random.Random("case 3")) for _ in range(2))
    assert first == again


def test_only_voxels_without_checksum_are_restored(tmp_path: Path):
    case = next(case for case in CASES if str(case) == "MRC, 16 bits")
    case.write(tmp_path)
    for seed in range(200):
        damage = choose_damage(tmp_path, random.Random(seed))
        restored = restore_payload(case, tmp_path, damage)
        if restored is None:
            continue
        sound = damage.path.read_bytes()
        differs = np.frombuffer(restored, "u1") != np.frombuffer(sound, "u1")
        assert damage.content[1024:] != sound[1024:] and not differs[1024:].any()
        assert restored[:1024] == damage.content[:1024]
