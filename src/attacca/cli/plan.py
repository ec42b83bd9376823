"""``attacca plan``: estimate the costs of a configuration before anything is computed."""

import argparse
from pathlib import Path

from rich.text import Text

from attacca.cli.arguments import parse_count, parse_positive
from attacca.cli.console import create_console
from attacca.config.load import load_configuration
from attacca.costs.advice import list_advice, list_excesses
from attacca.costs.cost_table import print_costs
from attacca.costs.estimates import estimate_costs
from attacca.costs.limits import read_limits
from attacca.costs.measurements import read_measured_costs
from attacca.costs.probe import measure_with_probe
from attacca.errors import ResourceError
from attacca.jobs.extents import read_extents
from attacca.preflight.check_configuration import check_configuration
from attacca.workflow.workflow import Workflow


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "plan", help="estimate blocks, disk, files, memory and hours of a configuration before it is computed"
    )
    parser.add_argument("configuration", type=Path, nargs="?", default=Path("config.yaml"))
    parser.add_argument(
        "--cores", type=parse_count, help="cores for one job; those of this machine by default"
    )
    parser.add_argument(
        "--memory",
        type=parse_positive,
        metavar="GB",
        help="memory for one job; that of this machine by default",
    )
    parser.add_argument(
        "--disk", type=parse_positive, metavar="GB", help="free space; that of 'results' by default"
    )
    parser.add_argument(
        "--jobs", type=parse_count, default=1, help="number of jobs that run at the same time on a cluster"
    )
    parser.add_argument(
        "--probe", action="store_true", help="measure first: run the workflow on small synthetic volumes"
    )


def run(options: argparse.Namespace) -> int:
    """Print the costs of all stages.

    Raises:
        ResourceError: the costs exceed the limits.
    """
    configuration = load_configuration(options.configuration)
    check_configuration(configuration, options.configuration, check_data=False)
    extents = read_extents(configuration)
    limits = read_limits(configuration.results, options.cores, options.memory, options.disk, options.jobs)
    measured = measure_with_probe(configuration, limits.cores) if options.probe else {}
    workflow = Workflow(configuration, extents=extents)
    measured |= read_measured_costs(workflow, {name: extent.voxels for name, extent in extents.items()})
    estimates = estimate_costs(workflow, extents, measured, limits.cores)
    console = create_console()
    print_costs(estimates, limits, console)
    lines = list(list_advice(configuration, estimates, limits))
    for line in lines or ["blocks, chunks and shards are suitable"]:
        console.print(Text(f"- {line}"))
    excesses = list(list_excesses(configuration, estimates, limits))
    if excesses:
        raise ResourceError("the results exceed the limits:\n  " + "\n  ".join(excesses))
    return 0
