"""``attacca apply``: predict and segment volumes with a model file, in one command."""

import argparse
from pathlib import Path

from attacca.cli.arguments import add_extensions, parse_cores, parse_voxel_size
from attacca.cli.console import print_warnings
from attacca.errors import AttaccaError
from attacca.workflow.application import (
    Application,
    InputVolume,
    join_voxel_size,
    parse_setting,
    prepare_application,
)
from attacca.workflow.run_snakemake import run_snakemake

_QUIET = ("--quiet", "host", "progress", "rules")
"""Options that show the progress of each stage instead of Snakemake's messages about each job."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "apply",
        help="predict and segment volumes with the model file of a training; compare with labels if they are given",
        description="Writes RESULTS/config.yaml and a copy of the model, and runs the workflow. The same command "
        "continues after an interruption, and recomputes only what other options change.",
    )
    parser.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="model.zip of a training, or a file that 'attacca model export' made of it",
    )
    parser.add_argument(
        "--raw",
        nargs="+",
        required=True,
        metavar="VOLUME",
        help="images: directories of sections, TIFF, HDF5, MRC, DM4, Zarr, N5, Precomputed, or URLs. FILE:DATASET selects a "
        "data set of an HDF5 file or a container",
    )
    parser.add_argument(
        "--labels", nargs="+", default=[], metavar="LABELS", help="labels of each image, in the same order"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RESULTS", help="directory of the results")
    parser.add_argument(
        "--voxel-size",
        nargs="+",
        type=parse_voxel_size,
        metavar="Z,Y,X",
        help="voxel size, z,y,x or y,x, if the files do not hold it",
    )
    parser.add_argument("--unit", help="unit of the voxel size; by default nanometer")
    add_extensions(parser)
    parser.add_argument("--cores", type=parse_cores, default="all", help="as for snakemake")
    parser.add_argument("--workflow-profile", help="as for snakemake: profiles/slurm computes on a cluster")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=parse_setting,
        metavar="KEY=VALUE",
        help="further setting of the configuration, such as execution.shards=8 or "
        "runs.applied.prediction.augmentation=flips; can be given several times",
    )
    parser.add_argument(
        "--only-configuration",
        action="store_true",
        help="write RESULTS/config.yaml and check it; compute nothing",
    )


def run(options: argparse.Namespace) -> int:
    """Apply the model; return 0 if everything was computed.

    Raises:
        ConfigurationError: the model does not fit the volumes, or the directory holds something else.
        AttaccaError: the workflow failed.
    """
    application = Application(
        model=options.model,
        volumes=InputVolume.pair(options.raw, options.labels),
        voxel_size=join_voxel_size(options.voxel_size) if options.voxel_size else None,
        unit=options.unit,
        settings=dict(options.set),
        extensions=options.extension,
    )
    warnings: list[str] = []
    configuration = prepare_application(application, options.out, warnings)
    if options.only_configuration:
        print_warnings(warnings)
        print(f"{configuration} is written; to compute: snakemake --cores all --configfile {configuration}")
        return 0
    where = ["--cores", options.cores]
    if options.workflow_profile:
        where = ["--workflow-profile", str(Path(options.workflow_profile).resolve())]
    done = run_snakemake(configuration, options.out, ["--rerun-incomplete", *where, *_QUIET], [])
    if done.returncode:
        raise AttaccaError(
            f"the workflow ended with an error (above). Finished results are kept in {options.out}: run the same command "
            "again to continue"
        )
    return 0
