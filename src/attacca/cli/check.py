"""``attacca check``: read a configuration and open its volumes, without computing anything."""

import argparse
from pathlib import Path

from attacca.cli.arguments import parse_positive
from attacca.cli.console import create_console, print_warnings
from attacca.config.load import load_configuration
from attacca.config.run import Configuration
from attacca.costs.estimates import estimate_costs
from attacca.jobs.extents import extents_of
from attacca.preflight.check_configuration import CheckedConfiguration, check_configuration
from attacca.preflight.volume_tables import print_volumes
from attacca.workflow.run_snakemake import SNAKEFILE
from attacca.workflow.workflow import Workflow


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "check", help="read a configuration and open its volumes, without computing anything"
    )
    parser.add_argument("configuration", type=Path, nargs="?", default=Path("config.yaml"))
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="also test the SLURM cluster: partitions, limits, accounting, and a small job that looks around on a node",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        default=SNAKEFILE.parent / "profiles" / "slurm",
        help="Snakemake's profile for the cluster (default: profiles/slurm of the checkout)",
    )
    parser.add_argument(
        "--wait",
        type=parse_positive,
        default=300,
        metavar="SECONDS",
        help="time to wait for the small job (default: 300)",
    )


def run(options: argparse.Namespace) -> int:
    """Print how the volumes of a configuration are read.

    Raises:
        ConfigurationError: lists all problems of the configuration.
    """
    configuration = load_configuration(options.configuration)
    checked = check_configuration(configuration, options.configuration)
    print_volumes(configuration, checked, create_console())
    print_warnings(checked.warnings)
    unused = [name for name in configuration.volumes if name not in checked.plans]
    print(
        f"{options.configuration}: no problems. Runs: {', '.join(configuration.runs)}. "
        + (f"Volumes without a run: {', '.join(unused)}. " if unused else "")
        + f"Results are written to {configuration.results}"
    )
    return _check_cluster(options, configuration, checked) if options.cluster else 0


def _check_cluster(
    options: argparse.Namespace, configuration: Configuration, checked: CheckedConfiguration
) -> int:
    """Print what the cluster offers and what will not work."""
    # deferred: only this option needs it.
    from attacca.costs.check_cluster import check_cluster

    extents = extents_of(configuration, checked.plans)
    workflow = Workflow(configuration, extents=extents)
    estimates = estimate_costs(workflow, extents, {}, cores=8)
    problems = 0
    for finding in check_cluster(workflow, estimates, options.profile, options.wait):
        problems += finding.is_problem
        print(f"{'PROBLEM' if finding.is_problem else 'ok'}: {finding.text}", flush=True)
    print(f"the cluster: {problems or 'no'} problem{'' if problems == 1 else 's'}")
    return 1 if problems else 0
