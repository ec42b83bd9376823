"""Table of the costs of all stages."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from attacca.costs.advice import format_size
from attacca.costs.estimates import StageEstimate, estimate_wall_seconds
from attacca.costs.limits import Limits
from attacca.progress import format_duration

_COLUMNS = "stage of blocks block jobs disk files memory/job time/job cores·h GPU·h from"
_TEXT_COLUMNS = ("stage", "of", "from")


def print_costs(estimates: Sequence[StageEstimate], limits: Limits, console: Console) -> None:
    """Print the costs of each stage and the total.

    Args:
        estimates: costs of all stages, in the order of computation.
        limits: available resources.
        console: terminal. It is made wide enough for the table, so that a narrow terminal clips no number.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in _COLUMNS.split():
        table.add_column(name, justify="left" if name in _TEXT_COLUMNS else "right", no_wrap=True)
    for item in estimates:
        table.add_row(
            item.instance.stage.name,
            item.instance.label,
            f"{item.blocks:,}" if item.blocks else "",
            "×".join(map(str, item.block)),
            str(item.shards),
            format_size(item.disk_bytes),
            f"{item.files:,}",
            f"{item.memory_mb / 1000:.1f} GB",
            format_duration(item.job_seconds),
            f"{item.core_seconds / 3600:.2f}",
            f"{item.gpu_seconds / 3600:.2f}" if item.gpu_seconds else "",
            item.source,
        )
    wide = console.options.update(max_width=1000)
    console.width = max(console.width, console.measure(table, options=wide).maximum)
    console.print(table)
    disk, files = sum(item.disk_bytes for item in estimates), sum(item.files for item in estimates)
    cores, gpus = (
        sum(seconds) / 3600 for seconds in zip(*((item.core_seconds, item.gpu_seconds) for item in estimates))
    )
    parts = [f"{format_size(disk)} in {files:,} files", f"{cores:.2f} core hours"]
    if gpus:
        parts.append(f"{gpus:.2f} GPU hours")
    time = format_duration(estimate_wall_seconds(estimates, limits.jobs, limits.cores))
    jobs = (
        f"with {limits.jobs} jobs of {limits.cores} cores at once"
        if limits.jobs > 1
        else f"on {limits.cores} cores"
    )
    console.print("in all: " + ", ".join([*parts, f"{time} {jobs}"]))
    if any(item.source == "typical" for item in estimates):
        console.print(
            "'typical' times come from other machines; --probe measures on this one in a few minutes"
        )
