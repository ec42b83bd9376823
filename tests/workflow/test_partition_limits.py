"""Time limits of the partitions of a SLURM cluster."""

import pytest

from attacca.workflow.partition_limits import PartitionLimits, parse_minutes


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("30", 30),
        ("30:00", 30),
        ("1:00:00", 60),
        ("10:00:00", 600),
        ("1-00:00:00", 1440),
        ("2-12", 3600),
        ("7-00:30:00", 10110),
        ("0:45", 0),
        ("infinite", None),
        ("n/a", None),
    ],
)
def test_time_limits_are_read_as_slurm_prints_them(text, minutes):
    assert parse_minutes(text) == minutes


def test_without_a_cluster_no_command_runs_and_time_is_unlimited(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert PartitionLimits({}, {}, lambda: False).minutes("train") is None
    assert PartitionLimits({}, {}, lambda: True).minutes("train") is None
