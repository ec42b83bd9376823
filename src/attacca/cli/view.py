"""``attacca view``: images, predictions, segmentations and truth in Neuroglancer, from this machine."""

import argparse
import json
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.cli.arguments import parse_port
from attacca.errors import ConfigurationError, MissingInputError
from attacca.report.deleted import describe_lost_images
from attacca.report.results import Results
from attacca.report.serving import ResultsServer, numbers
from attacca.report.viewer import ADDRESS, hosted_link, viewer_state


def add_parser(subparsers: Any) -> None:
    """Add the command to the ``attacca`` parser."""
    parser = subparsers.add_parser(
        "view",
        help="open results in Neuroglancer",
        description="Serve the arrays of a directory of results on this machine and open them in "
        "Neuroglancer. While it runs, the links of the report lead there.",
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="directory of results")
    parser.add_argument("--run", help="the run to show first; the first one by default")
    parser.add_argument("--volume", help="the volume to show first; the first one of the run by default")
    parser.add_argument(
        "--storage", help="directory or address of the arrays, where the configuration names one"
    )
    parser.add_argument("--position", help="where to look, in world units: z,y,x")
    parser.add_argument(
        "--state",
        nargs="?",
        const="-",
        metavar="FILE",
        help="print the viewer's state and a link (or save the state), and end",
    )
    parser.add_argument(
        "--port", type=parse_port, default=8765, help="port on this machine; links in the report use 8765"
    )
    parser.add_argument(
        "--bind",
        default="127.0.0.1",
        help="address to listen on; other machines can read all results if it is not 127.0.0.1",
    )
    parser.add_argument("--no-browser", action="store_true", help="print the address and open nothing")


def run(args: argparse.Namespace) -> int:
    """Serve the results until interrupted; or print a viewer state."""
    results = Results(Path(args.results), args.storage)
    run_name, volume = chosen(results, args.run, args.volume)
    position = _position(args.position)
    state = viewer_state(results, run_name, volume, position=position)
    shown = {"labels" if layer["name"] == "truth" else layer["name"] for layer in state["layers"]}
    lost = describe_lost_images(results, run_name, volume, shown)
    if lost:
        print(f"{lost}: what is left is shown", file=sys.stderr)
    if args.state:
        if args.state != "-":
            write_json(args.state, state)
            print(f"wrote {args.state}")
        else:
            print(json.dumps(state, indent=2))
        print(f"\nwhile 'attacca view {args.results}' runs:\n{hosted_link(state)}")
        return 0
    viewers = LocalViewer(results, args.bind)
    server = ResultsServer(results, viewers.open, args.bind, args.port)
    viewers.address = server.address
    query = {"run": run_name, "volume": volume, **({"position": args.position} if position else {})}
    link = viewers.open(query)
    print(f"{run_name or 'volumes'}/{volume} in Neuroglancer: {link}")
    print(f"everything there is:    {server.address}")
    print("The links of the report work while this runs. Ctrl-C ends it.", flush=True)
    if not args.no_browser:
        webbrowser.open(link)
    try:
        server.serve()
    except KeyboardInterrupt:
        print()
    finally:
        server.close()
    return 0


def _position(text: str | None) -> list[int] | None:
    """World coordinates that somebody typed.

    Raises:
        ConfigurationError: they are none.
    """
    position = numbers(text)
    if text is not None and position is None:
        raise ConfigurationError(
            f"--position: found '{text}', expected whole numbers in world units between commas, such as 400,1200,800"
        )
    return position


def chosen(results: Results, run_name: str | None, volume: str | None) -> tuple[str, str]:
    """The run and the volume to show, the first ones where none is named.

    Raises:
        MissingInputError: there is no such run or volume, or nothing at all.
    """
    if not results.directory.is_dir():
        raise MissingInputError(f"{results.directory} is not a directory; name the directory of results")
    runs = results.list_runs()
    if run_name is not None and run_name not in runs:
        raise MissingInputError(
            f"found no run '{run_name}' in {results.directory}; there is: {', '.join(runs) or 'none'}"
        )
    if run_name is None:
        run_name = next((name for name in runs if volume is None or volume in results.list_volumes(name)), "")
        run_name = next((name for name in runs if results.list_volumes(name)), "") if not volume else run_name
    volumes = results.list_volumes(run_name) if run_name else []
    imported = [path.stem for path in results.layout.volume_manifests()]
    if volume is not None and volume not in volumes and volume not in imported:
        there = ", ".join(dict.fromkeys([*volumes, *imported])) or "none"
        raise MissingInputError(f"found no volume '{volume}' in {results.directory}; there is: {there}")
    known = [*volumes, *imported]
    if volume is None and not known:
        raise MissingInputError(f"found no volumes in {results.directory} yet; run the workflow first")
    return run_name, volume or known[0]


class LocalViewer:
    """Neuroglancer of the Python package: one viewer, whose state follows what is asked for.

    Args:
        results: what can be shown.
        bind: address to listen on.
    """

    def __init__(self, results: Results, bind: str = "127.0.0.1") -> None:
        self.results = results
        self.bind = bind
        self.address = ADDRESS
        self._viewer: Any = None

    def open(self, query: Mapping[str, str]) -> str:
        """Show what a query asks for, and return the viewer's address."""
        state = viewer_state(
            self.results,
            query.get("run", ""),
            query.get("volume", ""),
            self.address,
            numbers(query.get("position")),
            numbers(query.get("segments")) or (),
            numbers(query.get("objects")) or (),
        )
        viewer = self._started()
        viewer.set_state(state)
        return str(viewer.get_viewer_url())

    def _started(self) -> Any:
        if self._viewer is None:
            import neuroglancer

            neuroglancer.set_server_bind_address(self.bind)
            self._viewer = neuroglancer.Viewer()
        return self._viewer
