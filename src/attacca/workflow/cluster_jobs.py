"""Jobs of a workflow in a SLURM queue."""

import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class ClusterJob:
    """A job in a SLURM queue."""

    number: str
    state: str
    node: str

    def __str__(self) -> str:
        node = f" on {self.node}" if self.node else ""
        return f"SLURM job {self.number} {self.state.lower()}{node}"


def read_cluster_jobs() -> dict[str, ClusterJob]:
    """Return the waiting and running jobs of this user, by the comment that Snakemake gives them."""
    command = ["squeue", "--me", "-h", "-o", "%i|%T|%k|%N"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    jobs = {}
    for line in lines.splitlines():
        number, state, comment, node = (line.split("|") + [""] * 4)[:4]
        if comment.startswith("rule_"):
            jobs[comment] = ClusterJob(number, state, node)
    return jobs
