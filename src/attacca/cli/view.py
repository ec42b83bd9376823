"""``attacca view``: show images, predictions, segmentations and labels in Neuroglancer on this machine."""

import argparse
import json
import os
import shlex
import sys
import webbrowser
from pathlib import Path
from urllib.parse import quote, urlencode

from attacca.atomic import write_json
from attacca.cli.arguments import parse_port
from attacca.errors import ConfigurationError
from attacca.report.deleted import describe_lost_images
from attacca.report.local_viewer import LocalViewer, choose_volume
from attacca.report.results import Results
from attacca.report.results_server import ResultsServer, make_token, parse_numbers
from attacca.report.viewer import ADDRESS, GROUND_TRUTH, make_hosted_link, make_viewer_state

TOKEN_VARIABLE = "ATTACCA_VIEW_TOKEN"
"""Environment variable with the token of the server. An option would be visible to other users of the machine."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "view",
        help="open results in Neuroglancer",
        description="Serve the arrays of a directory of results on this machine and open them in "
        "Neuroglancer. While the command runs, the links of the report work.",
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="directory of results")
    parser.add_argument("--run", help="run to show first; the first run by default")
    parser.add_argument("--volume", help="volume to show first; the first volume of the run by default")
    parser.add_argument(
        "--storage", help="directory or address of the arrays, if the configuration sets 'storage'"
    )
    parser.add_argument("--position", help="position to show first, in world units: z,y,x")
    parser.add_argument(
        "--state",
        nargs="?",
        const="-",
        metavar="FILE",
        help="print the viewer's state and a link (or save the state to FILE), and end",
    )
    parser.add_argument(
        "--port", type=parse_port, default=8765, help="port on this machine; links in the report use 8765"
    )
    parser.add_argument(
        "--bind",
        default="127.0.0.1",
        help="address to listen on; with another address than 127.0.0.1, machines that know the token can read all results",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address without opening a browser"
    )


def run(args: argparse.Namespace) -> int:
    """Serve the results until the command is interrupted, or print a viewer state."""
    results = Results(args.results, args.storage)
    run_name, volume = choose_volume(results, args.run, args.volume)
    position = parse_numbers(args.position)
    if args.position is not None and position is None:
        raise ConfigurationError(
            f"--position: found '{args.position}', expected whole numbers in world units, separated by commas, such as "
            "400,1200,800"
        )
    token = os.environ.get(TOKEN_VARIABLE) or make_token()
    if quote(token, safe="") != token:
        raise ConfigurationError(f"{TOKEN_VARIABLE}: expected letters, digits, '-', '_' and '.' only")
    state = make_viewer_state(results, run_name, volume, f"{ADDRESS}/{token}", position)
    layers = {"labels" if layer["name"] == GROUND_TRUTH else layer["name"] for layer in state["layers"]}
    lost = describe_lost_images(results, run_name, volume, layers)
    if lost:
        print(f"{lost}: the other images are shown", file=sys.stderr)
    if args.state:
        if args.state != "-":
            write_json(args.state, state)
            print(f"wrote {args.state}")
        else:
            print(json.dumps(state, indent=2))
        command = f"{TOKEN_VARIABLE}={token} attacca view {shlex.quote(str(args.results))}"
        print(f"\nwhile this command runs: {command}\n{make_hosted_link(state)}")
        return 0
    viewer = LocalViewer(results)
    server = ResultsServer(results, viewer.open, args.bind, args.port, token=token)
    viewer.address = server.address
    query = {"run": run_name, "volume": volume, **({"position": args.position} if position else {})}
    link = f"{server.address}/open?{urlencode(query, safe=',')}"
    print(f"{run_name or 'volumes'}/{volume} in Neuroglancer: {link}")
    print(f"list of all results:    {server.address}")
    print(
        "These addresses are secret: they contain a token. After one of them was opened in a browser, the links of the "
        "report work there while this command runs. Ctrl-C ends it.",
        flush=True,
    )
    if not args.no_browser:
        webbrowser.open(link)
    try:
        server.serve()
    except KeyboardInterrupt:
        print()
    finally:
        server.close()
    return 0
