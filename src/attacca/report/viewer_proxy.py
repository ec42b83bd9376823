"""Requests of Neuroglancer's pages, which one port of this machine receives and passes on to the viewer's own server."""

import http.client
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler

PATHS = ("/v/", "/events/", "/state/", "/action/")
"""Beginnings of the paths that belong to Neuroglancer; each continues with the secret token of a viewer."""

_SENT = ("Content-Type", "Cache-Control")
_PIECE = 1 << 16


def is_viewer_path(path: str) -> bool:
    """Return whether a request belongs to Neuroglancer.

    >>> is_viewer_path("/v/0123456789abcdef/main.js"), is_viewer_path("/results/v/zarr.json")
    (True, False)
    """
    return path.startswith(PATHS)


def forward_request(handler: BaseHTTPRequestHandler, port: int | None) -> None:
    """Pass a request on to Neuroglancer's server on this machine, and its answer back while it arrives.

    Events are an answer without an end: it is passed on until one side closes the connection.

    Args:
        handler: the request, of which nothing has been answered yet.
        port: port of Neuroglancer's server; None before a viewer was opened.
    """
    handler.close_connection = True
    if port is None:
        handler.send_error(HTTPStatus.NOT_FOUND, "no viewer has been opened yet")
        return
    body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        headers = {"Content-Type": handler.headers.get("Content-Type") or "application/json"}
        connection.request(handler.command, handler.path, body or None, headers if body else {})
        answer = connection.getresponse()
        handler.send_response(answer.status)
        for name in _SENT:
            if answer.headers.get(name):
                handler.send_header(name, answer.headers[name])
        handler.send_header("Connection", "close")
        # The address of a page contains the token.
        handler.send_header("Referrer-Policy", "no-referrer")
        handler.end_headers()
        while piece := answer.read1(_PIECE):
            handler.wfile.write(piece)
            handler.wfile.flush()
    except ConnectionError:
        # The browser closed the page, or the viewer was replaced.
        return
    finally:
        connection.close()
