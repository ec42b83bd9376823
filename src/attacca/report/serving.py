"""A small server on this machine that hands results to a viewer, and opens what the report links to."""

import html
import logging
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from attacca.errors import AttaccaError, ResourceError
from attacca.report.results import Results
from attacca.report.viewer import HOSTED, open_link, served_directories

logger = logging.getLogger(__name__)

OpenViewer = Callable[[Mapping[str, str]], str]
"""Takes the query of an address that ``open_link`` made, returns the address of the viewer."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".tsv": "text/plain; charset=utf-8",
}


_INDEX = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Attacca view</title>
<style>body{font:16px/1.6 sans-serif;margin:3rem auto;max-width:40rem;color-scheme:light dark}</style>
<h1>Open in Neuroglancer</h1>
<ul>LISTED</ul>
<p><a href="/results/report.html">Report</a></p>
</html>
"""


class ResultsServer:
    """Serves a directory of results to viewers on this machine.

    Only pages of this machine and of the Neuroglancers that are named may read: the browser refuses any
    other page, as no permission is sent.

    Args:
        results: what is served.
        open_viewer: opens a viewer at a place.
        address: where to listen.
        port: 0 takes a free one.
        origins: pages from elsewhere that may read.

    Raises:
        ResourceError: the port is taken.
    """

    def __init__(
        self,
        results: Results,
        open_viewer: OpenViewer,
        address: str = "127.0.0.1",
        port: int = 8765,
        origins: tuple[str, ...] = (HOSTED,),
    ) -> None:
        self.results = results
        self.open_viewer = open_viewer
        self.origins = origins
        self.directories = served_directories(results)
        handler = type("Handler", (_Handler,), {"served": self})
        try:
            self._server = ThreadingHTTPServer((address, port), handler)
        except OSError as error:
            raise ResourceError(
                f"cannot listen on {address}:{port}: {error.strerror}. Another 'attacca view' may run: "
                "stop it, or choose another port with --port (links in the report use 8765)"
            ) from error
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """The address of the server."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        """End ``start`` and give the port back."""
        self._server.shutdown()
        self.close()

    def close(self) -> None:
        """Give the port back."""
        self._server.server_close()

    def find(self, path: str) -> Path | None:
        """The file that an address means; None where there is none, or it is not among what is served."""
        name, _, inside = unquote(path).lstrip("/").partition("/")
        root = self.directories.get(name)
        if root is None or not inside:
            return None
        found = (root / inside).resolve()
        return found if found.is_relative_to(root.resolve()) and found.is_file() else None

    def index(self) -> str:
        """A page that lists what can be opened."""
        items = []
        for run in self.results.list_runs():
            for volume in self.results.list_volumes(run):
                query = html.escape(urlsplit(open_link(run, volume)).query)
                items.append(
                    f'<li><a href="/open?{query}">{html.escape(run)} · {html.escape(volume)}</a></li>'
                )
        return _INDEX.replace("LISTED", "".join(items) or "<li>nothing has been predicted yet</li>")


class _Handler(BaseHTTPRequestHandler):
    served: ResultsServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with a file, a list of what there is, or a viewer."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer as ``do_GET`` does, without the content."""
        self._answer(body=False)

    def do_OPTIONS(self) -> None:
        """Tell a browser what a page from elsewhere may do."""
        self._send(HTTPStatus.NO_CONTENT, b"", "text/plain")

    def _answer(self, body: bool) -> None:
        address = urlsplit(self.path)
        if address.path == "/":
            self._send(HTTPStatus.OK, self.served.index().encode(), _TYPES[".html"], body)
        elif address.path == "/open":
            query = {key: values[-1] for key, values in parse_qs(address.query).items()}
            try:
                viewer = self.served.open_viewer(query)
            except AttaccaError as error:
                self._send(HTTPStatus.NOT_FOUND, str(error).encode(), "text/plain; charset=utf-8", body)
                return
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", viewer)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            found = self.served.find(address.path)
            if found is None:
                # Chunks that hold the fill value alone are not stored: this is a normal answer.
                self._send(HTTPStatus.NOT_FOUND, b"", "text/plain", body)
            else:
                kind = _TYPES.get(found.suffix, "application/octet-stream")
                self._send(HTTPStatus.OK, found.read_bytes(), kind, body)

    def _send(self, status: HTTPStatus, content: bytes, kind: str, body: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-cache")
        origin = self.headers.get("Origin")
        if origin and (origin in self.served.origins or _is_local(origin)):
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Allow-Private-Network", "true")
            self.send_header("Vary", "Origin")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are many and tell a person nothing; they go to the log."""
        logger.debug(format, *args)


def _is_local(origin: str) -> bool:
    return urlsplit(origin).hostname in ("127.0.0.1", "localhost", "::1")


def numbers(text: str | None) -> list[int] | None:
    """``"1,2,3"`` as a list; None for nothing, or for text that is no list of whole numbers."""
    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError:
        return None
