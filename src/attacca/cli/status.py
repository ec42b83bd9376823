"""``attacca status``: print the state of each stage, the reason why it is stale, and the remaining time."""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from attacca.cli.arguments import parse_positive
from attacca.cli.console import create_console
from attacca.config.load import load_configuration
from attacca.progress import format_duration
from attacca.workflow.read_states import is_workflow_running_here, read_states
from attacca.workflow.stage_state import ShardState, StageState
from attacca.workflow.start_record import read_recorded_configuration
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
"""Number of columns of a terminal from which on the table contains the reasons."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "status",
        help="state of each stage, reasons of stale results and remaining time; here or on a cluster",
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="?",
        help="directory of results; by default that of --configfile, or else 'results'",
    )
    parser.add_argument(
        "--configfile", type=Path, help="compare with this configuration instead of that of the last start"
    )
    parser.add_argument("--shards", action="store_true", help="also list the shards of finished stages")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--watch",
        type=parse_positive,
        metavar="SECONDS",
        help="print the state again after this time, until the command is interrupted",
    )


def run(options: argparse.Namespace) -> int:
    """Print the state of a directory of results, once or repeatedly."""
    results = options.results or _default_results(options.configfile)
    while True:
        workflow = Workflow(read_recorded_configuration(results, options.configfile))
        states = read_states(workflow)
        if options.json:
            json.dump([state.to_json() for state in states], sys.stdout, indent=2)
            print()
        else:
            print_states(states, results, options.shards, create_console())
        if options.watch is None:
            return 0
        sys.stdout.flush()
        time.sleep(options.watch)


def _default_results(configuration_file: Path | None) -> Path:
    return Path("results") if configuration_file is None else load_configuration(configuration_file).results


def print_states(states: list[StageState], results: Path, all_shards: bool, console: Console) -> None:
    """Print a table of stages, with the shards of unfinished stages below them, and a summary.

    Args:
        states: states of all stages.
        results: directory of results.
        all_shards: also list the shards of finished stages, and of stages that have only one.
        console: terminal.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    # In a narrow terminal, names take two lines; states and numbers stay as they are.
    for name in ("stage", "of"):
        table.add_column(name, overflow="fold")
    table.add_column("state", no_wrap=True)
    for name in ("blocks", "time left"):
        table.add_column(name, justify="right", no_wrap=True)
    is_wide = console.width >= _WIDE
    if is_wide:
        table.add_column("", overflow="fold")
    notes = []
    for state in states:
        name, label, note = state.instance.stage.name, state.instance.label, state.reason or state.running
        if note and not is_wide:
            notes.append(f"{state.instance.title}: {note}")
        blocks = f"{state.done}/{state.blocks}" if state.blocks else ""
        word = Text(state.state, style=_STYLES[state.state])
        row: list[str | Text] = [name, label, word, blocks, _format_time(state.seconds_left), note]
        table.add_row(*row[: len(table.columns)])
        is_listed = len(state.shards) > 1 or any(shard.running or shard.note for shard in state.shards)
        if all_shards or (is_listed and state.state != "done"):
            for shard in state.shards:
                table.add_row(*_list_shard(shard, len(state.shards))[: len(table.columns)])
    console.print(table)
    for line in notes:
        console.print(Text(line), soft_wrap=True)
    counts = Counter(state.state for state in states)
    parts = [f"{results}: {counts['done']} of {len(states)} stages are done"]
    if stale := counts["stale"]:
        parts.append(f"{stale} {'is' if stale == 1 else 'are'} stale and will be computed again")
    if not counts["running"] and counts["done"] < len(states):
        if is_workflow_running_here(results):
            parts.append("the workflow runs on this machine and is about to start its next job")
        else:
            first = "remove the cause of the failed job, then " if any(s.has_failed for s in states) else ""
            parts.append(f"nothing runs: {first}start the workflow again to continue")
    console.print("; ".join(parts), soft_wrap=True)


def _list_shard(shard: ShardState, count: int) -> tuple[str, ...]:
    if shard.running:
        state = "running"
    elif shard.done >= shard.blocks:
        state = "done"
    else:
        state = "partly done" if shard.done else "waits"
    blocks, title = f"{shard.done}/{shard.blocks}", f"  shard {shard.index + 1} of {count}"
    return "", title, state, blocks, _format_time(shard.seconds_left), shard.running or shard.note


def _format_time(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(seconds)
