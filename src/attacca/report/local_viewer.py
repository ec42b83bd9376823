"""Neuroglancer of the Python package on this machine."""

from collections.abc import Mapping
from typing import Any

from attacca.errors import MissingInputError
from attacca.report.results import Results
from attacca.report.results_server import parse_numbers
from attacca.report.viewer import ADDRESS, make_viewer_state


class LocalViewer:
    """One viewer, which shows what the last query named.

    It listens on this machine only; ``ResultsServer`` passes requests on to it.

    Args:
        results: results to show.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.address = ADDRESS
        self._viewer: Any = None

    def open(self, query: Mapping[str, str]) -> str:
        """Show a run and a volume, and return the viewer's address.

        Args:
            query: ``run`` and ``volume``, ``position`` in world units, ``segments`` and ``objects`` to select,
                ``address`` of the results; ``self.address`` by default.
        """
        if self._viewer is None:
            # deferred: needed by this command only
            import neuroglancer

            neuroglancer.set_server_bind_address("127.0.0.1")
            self._viewer = neuroglancer.Viewer()
        state = make_viewer_state(
            self.results,
            query.get("run", ""),
            query.get("volume", ""),
            query.get("address") or self.address,
            parse_numbers(query.get("position")),
            parse_numbers(query.get("segments")) or (),
            parse_numbers(query.get("objects")) or (),
        )
        self._viewer.set_state(state)
        return str(self._viewer.get_viewer_url())


def choose_volume(results: Results, run: str | None = None, volume: str | None = None) -> tuple[str, str]:
    """Return the names of the run and the volume to show; the first ones by default.

    Args:
        results: results to show.
        run: name of the run.
        volume: name of the volume.

    Raises:
        MissingInputError: the run or the volume does not exist, or nothing has been computed yet.
    """
    directory = results.directory
    if not directory.is_dir():
        raise MissingInputError(f"{directory} is not a directory; name the directory of results")
    runs = {name: results.list_volumes(name) for name in results.list_runs()}
    if run is not None and run not in runs:
        raise MissingInputError(
            f"found no run '{run}' in {directory}; existing runs: {', '.join(runs) or 'none'}"
        )
    if run is None:
        run = next((name for name in runs if (volume in runs[name] if volume else runs[name])), "")
    known = dict.fromkeys([*runs.get(run, []), *(path.stem for path in results.layout.volume_manifests())])
    if volume is None and not known:
        raise MissingInputError(f"found no volumes in {directory} yet; run the workflow first")
    if volume is not None and volume not in known:
        names = ", ".join(known) or "none"
        raise MissingInputError(f"found no volume '{volume}' in {directory}; existing volumes: {names}")
    return run, volume or next(iter(known))
