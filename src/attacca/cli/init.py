"""``attacca init``: propose a configuration for a lab's files."""

import argparse
import os
import shutil
from pathlib import Path

from rich.text import Text

from attacca.cli.arguments import parse_positive, parse_voxel_size
from attacca.cli.console import create_console, print_warnings
from attacca.proposal.choices import Machine
from attacca.proposal.examination import GivenFacts
from attacca.proposal.propose_configuration import propose_configuration

_DESCRIPTION = """\
Examine images and labels with Attacca's readers, and write a commented configuration that passes `attacca check`.

Each DATA is an image with its labels, raw:labels; an image alone; a file or container with both; or a directory of
such files, in which names are paired: cube1_raw.tif and cube1_labels.tif. A data set follows the path of its
container: cube.h5/volumes/raw. Images without labels are segmented only. The images of a directory are the sections of
a volume; with --voxel-size Y,X, each is a volume of two dimensions."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "init",
        help="examine images and labels, and write a commented configuration for them",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", nargs="+", metavar="DATA", help="raw:labels, an image, or a directory")
    parser.add_argument(
        "--out", type=Path, default=Path("config.yaml"), help="the file; config.yaml by default"
    )
    parser.add_argument(
        "--voxel-size",
        type=_parse_voxel_size,
        metavar="Z,Y,X",
        help="edges of a voxel, if the files lack or misstate them; Y,X for images, which are not stacked",
    )
    parser.add_argument("--unit", help="unit of the voxel size; nanometer by default")
    parser.add_argument(
        "--unlabelled", type=int, metavar="VALUE", help="value of voxels without annotation in the labels"
    )
    parser.add_argument(
        "--labels",
        choices=("instances", "classes"),
        help="contents of the labels, if they are not recognized",
    )
    parser.add_argument(
        "--classes",
        type=_parse_names,
        default=[],
        metavar="NAMES",
        help="names of the label values from 0 on",
    )
    parser.add_argument(
        "--minutes",
        type=parse_positive,
        default=10.0,
        help="time for the training on this machine; 10 by default",
    )


def run(options: argparse.Namespace) -> int:
    """Write a configuration, and print the data and the assumptions.

    Raises:
        ConfigurationError: the file exists, or nothing can be proposed for the data.
    """
    machine = Machine(len(os.sched_getaffinity(0)), count_gpus(), options.minutes)
    given = GivenFacts(options.voxel_size, options.unit, options.unlabelled)
    written = propose_configuration(
        options.data, options.out, machine, given=given, contents=options.labels, names=options.classes
    )
    console = create_console()
    for line in written.facts:
        console.print(Text(line), soft_wrap=True)
    for question in written.proposal.questions:
        console.print(Text(f"please confirm: {question}"), soft_wrap=True)
    print_warnings(written.warnings)
    console.print(
        Text(
            f"{options.out}: {written.proposal.kind}. Reasons are beside each choice. Next: attacca check {options.out}"
        ),
        soft_wrap=True,
    )
    return 0


def count_gpus() -> int:
    """Return 1 if this machine has a GPU that torch can use, otherwise 0. Training uses one."""
    if shutil.which("nvidia-smi") is None:
        return 0
    # deferred: torch takes seconds to import
    import torch

    return int(torch.cuda.is_available())


def _parse_voxel_size(text: str) -> tuple[float, ...]:
    try:
        values = parse_voxel_size(text)
    except argparse.ArgumentTypeError:
        values = ()
    if len(values) not in (2, 3) or max(values) >= 1e9:
        raise argparse.ArgumentTypeError(
            f"found '{text}', expected z,y,x or y,x without spaces, such as 40,4,4"
        )
    return values


def _parse_names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"found '{text}', expected different names, separated by commas")
    return names
