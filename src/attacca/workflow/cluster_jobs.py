"""Jobs of a workflow in a SLURM queue."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from attacca.errors import ConfigurationError

UNRESOLVABLE = {
    "AccountNotAllowed",
    "AssociationTimeLimit",
    "BadConstraints",
    "InvalidAccount",
    "InvalidQOS",
    "PartitionConfig",
    "PartitionInactive",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "QOSTimeLimit",
    "ReqNodeNotAvail",
}
"""Reasons for which a job waits until someone changes the job or the cluster."""


_SHELL_CHARACTERS = frozenset('$`"\\')
"""Characters that a shell interprets between double quotes, in which Snakemake puts the paths of a job."""


def check_cluster_paths(paths: Iterable[str | Path]) -> None:
    """Check that the shell of a cluster job does not change paths.

    Args:
        paths: files and directories that Snakemake names in the command line of its jobs.

    Raises:
        ConfigurationError: a path has a character that a shell interprets.

    >>> check_cluster_paths(["/data/it's 50 % (1)/config.yaml"])
    """
    for path in paths:
        found = sorted(_SHELL_CHARACTERS.intersection(str(path)))
        if found:
            raise ConfigurationError(
                f"found {' '.join(found)} in {ascii(str(path))[1:-1]}, which the shell of a cluster's job would interpret",
                fix="rename the directory, or start the workflow without a cluster profile",
            )


@dataclass(frozen=True)
class ClusterJob:
    """A job in a SLURM queue.

    Args:
        number: its number.
        state: its state in capital letters, as ``squeue`` prints it.
        node: the node on which it runs; empty if it waits.
        reason: SLURM's reason why it waits, in one word.
    """

    number: str
    state: str
    node: str
    reason: str = ""

    def __str__(self) -> str:
        node = f" on {self.node}" if self.node else ""
        reason = f" ({self.reason})" if self.reason and self.state == "PENDING" else ""
        return f"SLURM job {self.number} {self.state.lower()}{node}{reason}"

    @property
    def waits_in_vain(self) -> bool:
        """True if the job cannot start unless someone changes the job or the cluster."""
        return self.state == "PENDING" and self.reason in UNRESOLVABLE


def read_cluster_jobs() -> dict[str, ClusterJob]:
    """Return the waiting and running jobs of this user, by the comment that Snakemake gives them."""
    command = ["squeue", "--me", "-h", "-o", "%i|%T|%k|%N|%r"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    jobs = {}
    for line in lines.splitlines():
        number, state, comment, node, reason = (line.split("|") + [""] * 5)[:5]
        if comment.startswith("rule_"):
            jobs[comment] = ClusterJob(number, state, node, reason)
    return jobs


def watch_queue(seconds: float = 60.0) -> None:
    """Report jobs that SLURM will never start, once each, from a thread that ends with this process.

    Args:
        seconds: time between two looks at the queue.
    """
    threading.Thread(target=_watch, args=(seconds,), daemon=True).start()


def _watch(seconds: float) -> None:
    reported: set[str] = set()
    while True:
        time.sleep(seconds)
        for comment, job in read_cluster_jobs().items():
            if job.waits_in_vain and job.number not in reported:
                reported.add(job.number)
                print(describe_vain_wait(comment, job), file=sys.stderr, flush=True)


def describe_vain_wait(comment: str, job: ClusterJob) -> str:
    """Return the message about a job that cannot start.

    Args:
        comment: the comment that Snakemake gave the job.
        job: the job.
    """
    name = comment.removeprefix("rule_").partition("_wildcards_")[0]
    return (
        f"warning: SLURM job {job.number} ({name}) waits ({job.reason}), and SLURM will not start it as it is. Correct "
        "the partition, account, time or constraint in the profile (attacca check --cluster tests them), cancel the job "
        f"(scancel {job.number}), and start again"
    )
