"""Time limits of the partitions of a SLURM cluster.

SLURM accepts a job that asks for more time than its partition allows, and never starts it.
"""

import math
import re
import subprocess
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

_DEFAULT = "*"
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def parse_minutes(text: str) -> int | None:
    """Return a time limit as ``sinfo`` prints it, in whole minutes; None for no limit.

    >>> parse_minutes("1-12:00:00"), parse_minutes("30:00"), parse_minutes("infinite")
    (2160, 30, None)
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    days, *rest = match.groups()
    numbers = [int(number) for number in rest if number is not None]
    # Minutes and seconds, with hours before them if there are three numbers; days are followed by hours.
    if days is None and len(numbers) < 3:
        minutes, seconds = numbers[0], (*numbers, 0)[1]
        return minutes + math.floor(seconds / 60)
    hours, minutes = (*numbers, 0)[:2]
    return (int(days or 0) * 24 + hours) * 60 + minutes


def read_partition_limits() -> dict[str, int | None]:
    """Return the time limit of each partition in minutes, None for no limit; that of the default partition also as ``*``.

    The result is empty without a SLURM cluster.
    """
    command = ["sinfo", "-h", "-o", "%P|%l"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    limits: dict[str, int | None] = {}
    for line in lines.splitlines():
        name, _, limit = line.partition("|")
        limits[name.removesuffix(_DEFAULT)] = parse_minutes(limit)
        if name.endswith(_DEFAULT):
            limits[_DEFAULT] = parse_minutes(limit)
    return limits


class PartitionLimits:
    """Time limits of the partitions in which the jobs of a workflow run.

    Args:
        default_resources: ``default-resources`` of the profile.
        special_resources: ``set-resources`` of the profile, by rule.
        is_on_cluster: function that returns whether jobs are submitted; it is called when the first job is planned.
    """

    def __init__(
        self,
        default_resources: Mapping[str, Any],
        special_resources: Mapping[str, Mapping[str, Any]],
        is_on_cluster: Callable[[], bool],
    ) -> None:
        self._default = default_resources
        self._special = special_resources
        self._is_on_cluster = is_on_cluster

    def minutes(self, rulename: str) -> int | None:
        """Return the time limit of the partition of a rule's jobs; None for no limit."""
        if not self._limits:
            return None
        special = self._special.get(rulename, {})
        names = [
            str(source.get("slurm_partition") or "").strip("\"' ") for source in (special, self._default)
        ]
        name = next(filter(None, names), _DEFAULT)
        if name in self._limits:
            return self._limits[name]
        # An expression or several partitions: SLURM takes one that fits.
        known = list(self._limits.values())
        return None if None in known else max(limit for limit in known if limit is not None)

    @cached_property
    def _limits(self) -> dict[str, int | None]:
        return read_partition_limits() if self._is_on_cluster() else {}
