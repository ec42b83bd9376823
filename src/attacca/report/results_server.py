"""HTTP server on this machine that serves results to a viewer and opens the links of the report."""

import html
import ipaddress
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from attacca.errors import AttaccaError, MissingInputError, ResourceError
from attacca.report.results import Results
from attacca.report.viewer import ADDRESS, HOSTED, find_served_directories, make_open_link
from attacca.report.viewer_proxy import forward_request, is_viewer_path

logger = logging.getLogger(__name__)

OpenViewer = Callable[[Mapping[str, str]], str]
"""Takes the query of a link from ``make_open_link``, and ``address``, under which the browser reaches the results. It
returns the address of the viewer."""

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
<ul>ITEMS</ul>
<p><a href="/TOKEN/results/report.html">Report</a></p>
</html>
"""

_FORBIDDEN = (
    "This address needs the token of the running 'attacca view'. Open the address that the command printed once in this "
    "browser; then the links of the report work.\n"
)


class ResultsServer:
    """HTTP server of a directory of results, for viewers on this machine.

    Other users of the machine can connect, too. So each request needs the token, which is the first part of every
    address. The first page stores it in a cookie, for the links of the report: they are written before the token
    exists. A request under a foreign host name is refused, because a web page can let its own name point to this
    machine. Only pages of this machine and of the given origins may read: for any other page, the server sends no
    permission, and the browser refuses.

    Pages and events of a viewer on this machine are passed on, so that one port (or one tunnel) serves everything. Their
    addresses contain the token of the viewer.

    Args:
        results: results that are served.
        open_viewer: opens a viewer at a location.
        address: address to listen on.
        port: port to listen on; 0 takes a free one.
        origins: addresses of other pages that may read.
        token: secret part of all addresses; a random one by default.

    Raises:
        ResourceError: the port is in use.
    """

    def __init__(
        self,
        results: Results,
        open_viewer: OpenViewer,
        address: str = "127.0.0.1",
        port: int = 8765,
        origins: tuple[str, ...] = (HOSTED,),
        token: str = "",
    ) -> None:
        self.results = results
        self.open_viewer = open_viewer
        self.origins = origins
        self.token = token or make_token()
        self._hosts = _list_hosts(address)
        self._is_public = not _is_loopback(address)
        self.directories = find_served_directories(results)
        handler = type("Handler", (_Handler,), {"owner": self})
        try:
            self._server = ThreadingHTTPServer((address, port), handler)
        except OSError as error:
            raise ResourceError(
                f"cannot listen on {address}:{port}: {error.strerror}. Another 'attacca view' may run: "
                "stop it, or choose another port with --port (links in the report use 8765)"
            ) from error
        self._server.daemon_threads = True
        self.viewer_port: int | None = None

    @property
    def address(self) -> str:
        """The address of the server, with the token."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/{self.token}"

    @property
    def cookie(self) -> str:
        """Name of the cookie with the token. Browsers send cookies to all ports of a machine."""
        return f"attacca-{self._server.server_address[1]}"

    def is_own_host(self, header: str | None) -> bool:
        """Return whether the header ``Host`` names this machine; its port may be that of a tunnel.

        A server for other machines also accepts any numeric address.
        """
        host = (urlsplit(f"//{header or ''}").hostname or "").lower()
        return host in self._hosts or _is_loopback(host) or (self._is_public and _is_numeric(host))

    def start(self) -> None:
        """Serve in a background thread."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def serve(self) -> None:
        """Serve until interrupted."""
        self._server.serve_forever()

    def stop(self) -> None:
        """Stop the background thread and release the port."""
        self._server.shutdown()
        self.close()

    def close(self) -> None:
        """Release the port."""
        self._server.server_close()

    def open_location(self, query: Mapping[str, str], host: str) -> str:
        """Open a viewer and return its address. A viewer of this machine is reached through the port of this server.

        Args:
            query: query of a link.
            host: name and port under which the browser reached this server.

        Raises:
            MissingInputError: the run does not exist.
        """
        run, runs = query.get("run", ""), self.results.list_runs()
        if run and run not in runs:
            raise MissingInputError(
                f"found no run '{run}' in {self.results.directory}; existing runs: {', '.join(runs) or 'none'}"
            )
        viewer = self.open_viewer({**query, "address": f"http://{host}/{self.token}"})
        parts = urlsplit(viewer)
        if not _is_loopback(parts.hostname or ""):
            return viewer
        self.viewer_port = parts.port
        return parts.path

    def find_file(self, path: str) -> Path | None:
        """Return the file at the path of an address; None if it does not exist or is not served."""
        name, _, relative = unquote(path).lstrip("/").partition("/")
        root = self.directories.get(name)
        if root is None or not relative:
            return None
        file = (root / relative).resolve()
        return file if file.is_relative_to(root.resolve()) and file.is_file() else None

    def render_index(self) -> str:
        """Render a page with links to all volumes."""
        items = []
        for run in self.results.list_runs():
            for volume in self.results.list_volumes(run):
                query = html.escape(urlsplit(make_open_link(run, volume)).query)
                items.append(
                    f'<li><a href="/{self.token}/open?{query}">{html.escape(run)} · {html.escape(volume)}</a></li>'
                )
        page = _INDEX.replace("ITEMS", "".join(items) or "<li>nothing has been predicted yet</li>")
        return page.replace("TOKEN", self.token)


class _Handler(BaseHTTPRequestHandler):
    owner: ResultsServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file, the index, or a redirection to a viewer."""
        self._respond(with_body=True)

    def do_POST(self) -> None:
        """Pass a change of the viewer's state on."""
        if not self._forward():
            self.close_connection = True
            self._send(HTTPStatus.FORBIDDEN, _FORBIDDEN.encode(), "text/plain; charset=utf-8")

    def do_HEAD(self) -> None:
        """Send the headers of ``do_GET``."""
        self._respond(with_body=False)

    def do_OPTIONS(self) -> None:
        """Send the permissions of pages from elsewhere."""
        self._send(HTTPStatus.NO_CONTENT, b"", "text/plain")

    def _forward(self) -> bool:
        """Pass a request of a viewer's page on; False if it is not one, or comes under a foreign host name."""
        if not is_viewer_path(self.path) or not self.owner.is_own_host(self.headers.get("Host")):
            return False
        origin = self.headers.get("Origin")
        if origin and urlsplit(origin).netloc != self.headers.get("Host"):
            return False
        forward_request(self, self.owner.viewer_port)
        return True

    def _respond(self, with_body: bool) -> None:
        if with_body and self._forward():
            return
        address = urlsplit(self.path)
        path = self._authorize(address.path)
        if path is None:
            message = _FORBIDDEN.encode()
            self._send(HTTPStatus.FORBIDDEN, message, "text/plain; charset=utf-8", with_body)
        elif path == "/":
            self._send(HTTPStatus.OK, self.owner.render_index().encode(), _TYPES[".html"], with_body)
        elif path == "/open":
            query = {key: values[-1] for key, values in parse_qs(address.query).items()}
            try:
                viewer = self.owner.open_location(query, self.headers["Host"])
            except AttaccaError as error:
                message = str(error).encode()
                self._send(HTTPStatus.NOT_FOUND, message, "text/plain; charset=utf-8", with_body)
                return
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", viewer)
            self.send_header("Content-Length", "0")
            self._send_cookie()
            self.end_headers()
        else:
            file = self.owner.find_file(path)
            if file is None:
                # A normal answer: chunks that hold the fill value alone are not stored.
                self._send(HTTPStatus.NOT_FOUND, b"", "text/plain", with_body)
            else:
                self._send_file(file, with_body)

    def _authorize(self, path: str) -> str | None:
        """Return the path without the token; None if the host is foreign or the token is missing."""
        if not self.owner.is_own_host(self.headers.get("Host")):
            return None
        first, _, rest = path.lstrip("/").partition("/")
        if secrets.compare_digest(first.encode(), self.owner.token.encode()):
            return f"/{rest}"
        stored = f"{self.owner.cookie}={self.owner.token}".encode()
        cookies = (self.headers.get("Cookie") or "").split(";")
        if any(secrets.compare_digest(cookie.strip().encode(), stored) for cookie in cookies):
            return path
        return None

    def _send_cookie(self) -> None:
        self.send_header(
            "Set-Cookie", f"{self.owner.cookie}={self.owner.token}; Path=/; HttpOnly; SameSite=Lax"
        )

    def _send_file(self, file: Path, with_body: bool) -> None:
        """Send a file, or the part of it that the header ``Range`` names: a viewer reads single chunks of a shard."""
        content_type = _TYPES.get(file.suffix, "application/octet-stream")
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            part = parse_range(self.headers.get("Range"), size)
            start, stop = part or (0, size)
            if file == self.owner.results.layout.report().resolve() and not part:
                # A tunnel may have another port than the links of the page.
                page = opened.read().replace(ADDRESS.encode(), f"/{self.owner.token}".encode())
                self._send(HTTPStatus.OK, page, content_type, with_body)
                return
            if part and start >= stop:
                unsatisfiable = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                self._send(unsatisfiable, b"", content_type, content_range=f"bytes */{size}")
                return
            opened.seek(start)
            content = opened.read(stop - start) if with_body else b""
        status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
        content_range = f"bytes {start}-{stop - 1}/{size}" if part else ""
        self._send(status, content, content_type, with_body, content_range, length=stop - start)

    def _send(
        self,
        status: HTTPStatus,
        content: bytes,
        content_type: str,
        with_body: bool = True,
        content_range: str = "",
        length: int | None = None,
    ) -> None:
        """Send an answer; ``length`` is that of the content, if it is not sent."""
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.send_header("Cache-Control", "no-cache")
        # The address of a page contains the token.
        self.send_header("Referrer-Policy", "no-referrer")
        if status == HTTPStatus.OK and content_type == _TYPES[".html"]:
            self._send_cookie()
        origin = self.headers.get("Origin")
        if origin and (origin in self.owner.origins or _is_local(origin)):
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Allow-Private-Network", "true")
            self.send_header("Access-Control-Allow-Headers", "Range")
            self.send_header("Access-Control-Expose-Headers", "Content-Range, Content-Length")
            self.send_header("Vary", "Origin")
        self.end_headers()
        if with_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log requests at debug level: a viewer sends thousands."""
        logger.debug(format, *args)


def _is_local(origin: str) -> bool:
    return _is_loopback(urlsplit(origin).hostname or "")


def make_token() -> str:
    """Return a random token of 32 letters, digits, ``-`` and ``_``."""
    return secrets.token_urlsafe(24)


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_numeric(host) and ipaddress.ip_address(host).is_loopback)


def _list_hosts(address: str) -> frozenset[str]:
    """Return the names under which a server that listens on an address is reached, beside loopback addresses."""
    if _is_loopback(address):
        return frozenset()
    return frozenset({address.lower(), socket.gethostname().lower(), socket.getfqdn().lower()})


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Parse the header ``Range`` of a request for one part of a file.

    Args:
        header: for example ``bytes=0-99``, ``bytes=100-`` or ``bytes=-36`` (the last 36 bytes).
        size: size of the file in bytes.

    Returns:
        First byte and end of the part; equal or descending if the file has no such bytes. None without a header, or for
        any other form, which the server may answer with the whole file.

    >>> [parse_range(header, 1000) for header in ("bytes=0-99", "bytes=990-", "bytes=-36", "bytes=0-1,5-6", None)]
    [(0, 100), (990, 1000), (964, 1000), None, None]
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        return max(0, size - int(match[2])), size
    return int(match[1]), min(size, int(match[2]) + 1) if match[2] else size


def parse_numbers(text: str | None) -> list[int] | None:
    """Parse whole numbers between commas; None without text, or if it has another form.

    >>> parse_numbers("400,1200,800")
    [400, 1200, 800]
    """
    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError:
        return None
