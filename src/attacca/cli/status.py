"""``attacca status``: what runs, what is done, what is missing, what is stale and why, and the time left."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from attacca.cli.arguments import parse_positive
from attacca.progress import format_duration
from attacca.workflow.record import recorded_configuration
from attacca.workflow.stage_state import ShardState, StageState, read_states, workflow_runs_here
from attacca.workflow.workflow import Workflow

_STYLES = {
    "done": "green",
    "running": "bold cyan",
    "stale": "yellow",
    "partly done": "cyan",
    "planned": "",
    "missing": "dim",
}


_WIDE = 120
"""Columns of a terminal from which on reasons stand in the table."""


def add_parser(commands: Any) -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "status",
        help="what runs, what is done, what is stale and why, and the time left; here or on a cluster",
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument(
        "--configfile", type=Path, help="compare with this configuration, not with that of the last start"
    )
    parser.add_argument("--shards", action="store_true", help="show the shards of finished stages too")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--watch", type=parse_positive, metavar="SECONDS", help="print it again every so many seconds"
    )


def run(options: argparse.Namespace) -> int:
    """Print the state of a directory of results."""
    while True:
        workflow = Workflow(recorded_configuration(options.results, options.configfile))
        states = read_states(workflow)
        if options.json:
            json.dump([state.to_json() for state in states], sys.stdout, indent=2)
            print()
        else:
            show(states, options.results, options.shards, Console(highlight=False))
        if options.watch is None:
            return 0
        sys.stdout.flush()
        time.sleep(options.watch)


def show(states: list[StageState], results: Path, every_shard: bool, console: Console) -> None:
    """Print a table of stages, with the shards of those that are not done below them."""
    columns = [
        ("stage", "left"),
        ("of", "left"),
        ("state", "left"),
        ("blocks", "right"),
        ("time left", "right"),
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    # Beside a stage there is room for a reason on a wide screen only.
    beside = console.width >= _WIDE
    if beside:
        table.add_column("", overflow="fold")
    below = []
    for state in states:
        note = state.reason or state.running
        if note and not beside:
            below.append(f"{state.instance.stage.name} {state.instance.label}: {note}")
        row: list[str | Text] = [
            state.instance.stage.name,
            state.instance.label,
            Text(state.state, style=_STYLES[state.state]),
            f"{state.done}/{state.blocks}" if state.blocks else "",
            _left(state.seconds_left),
            note,
        ]
        table.add_row(*row[: len(table.columns)])
        if len(state.shards) > 1 or any(shard.running or shard.note for shard in state.shards) or every_shard:
            for shard in state.shards:
                if every_shard or state.state != "done":
                    table.add_row(*_shard_row(shard, len(state.shards))[: len(table.columns)])
    console.print(table)
    for line in below:
        console.print(Text(line))
    done = sum(state.state == "done" for state in states)
    stale = sum(state.state == "stale" for state in states)
    parts = [f"{results}: {done} of {len(states)} stages are done"]
    if stale:
        parts.append(f"{stale} {'is' if stale == 1 else 'are'} stale and will be computed again")
    if not any(state.state == "running" for state in states) and done < len(states):
        if workflow_runs_here(results):
            parts.append("the workflow runs on this machine and is about to start its next job")
        else:
            parts.append("nothing runs: start the workflow again to go on")
    console.print("; ".join(parts))


def _shard_row(shard: ShardState, count: int) -> tuple[str, ...]:
    if shard.running:
        word = "running"
    elif shard.done >= shard.blocks:
        word = "done"
    else:
        word = "partly done" if shard.done else "waits"
    return (
        "",
        f"  shard {shard.index + 1} of {count}",
        word,
        f"{shard.done}/{shard.blocks}",
        _left(shard.seconds_left),
        shard.running or shard.note,
    )


def _left(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)
