"""Report, viewer and arrays are reached through one port, under any name and port of a tunnel."""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from attacca.report.local_viewer import LocalViewer
from attacca.report.results import Results
from attacca.report.results_server import ResultsServer
from attacca.report.viewer import make_open_link

TUNNEL = "localhost:9000"
LINK = "/open?run=default&volume=tissue-test"


@pytest.fixture(scope="module")
def server(fake_results: Any) -> Iterator[ResultsServer]:
    results = Results(fake_results.directory)
    served = ResultsServer(results, LocalViewer(results).open, port=0)
    served.start()
    yield served
    served.stop()


def request(
    server: ResultsServer, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.address).port or 0, timeout=30)
    connection.request(method, path, body, {"Host": TUNNEL, **headers})
    return connection.getresponse()


@pytest.fixture(scope="module")
def page(server: ResultsServer) -> str:
    """Path of the opened viewer."""
    return str(request(server, f"/{server.token}{LINK}").headers["Location"])


def read_event(server: ResultsServer, page: str) -> dict[str, Any]:
    events = request(server, page.replace("/v/", "/events/").rstrip("/") + "?c=client&gc=&gs=")
    assert events.status == 200
    while True:
        line = events.readline()
        if line.startswith(b"data:"):
            event = json.loads(line[5:])
            if event["k"] == "s":
                return event


def test_a_link_leads_to_a_page_on_the_same_port(server: ResultsServer, page: str) -> None:
    assert re.fullmatch(r"/v/[0-9a-f]{40}/", page)
    answer = request(server, page)
    assert answer.status == 200 and b"neuroglancer" in answer.read()
    script = request(server, page + "no-such-file.js")
    assert script.status == 404


def test_the_viewer_reads_arrays_through_the_tunnel(server: ResultsServer, page: str) -> None:
    state = read_event(server, page)["s"]
    raw = next(layer for layer in state["layers"] if layer["name"] == "raw")
    source = raw["source"] if isinstance(raw["source"], str) else raw["source"]["url"]
    assert source.startswith(f"zarr://http://{TUNNEL}/{server.token}/results/volumes/")
    path = urlsplit(source.removeprefix("zarr://")).path
    assert request(server, f"{path}/zarr.json").status == 200


def test_a_change_of_the_state_reaches_the_viewer(server: ResultsServer, page: str) -> None:
    event = read_event(server, page)
    state = {**event["s"], "crossSectionScale": 3.5}
    change = json.dumps({"pg": event["g"], "g": "1", "s": state, "c": "other"})
    path = page.replace("/v/", "/state/").rstrip("/")
    assert request(server, path, "POST", change, Origin="http://evil.example").status == 403
    assert request(server, path, "POST", change, Origin=f"http://{TUNNEL}").status == 200
    assert read_event(server, page)["s"]["crossSectionScale"] == 3.5


def test_viewers_of_other_tokens_and_foreign_hosts_are_refused(server: ResultsServer, page: str) -> None:
    assert request(server, "/v/" + "0" * 40 + "/").status == 404
    assert request(server, page, Host="evil.example").status == 403
    assert request(server, "/credentials/" + page.split("/")[2], "POST", "{}").status == 403


def test_links_of_the_report_lead_through_the_tunnel(tmp_path: Path) -> None:
    link = make_open_link("default", "tissue-test", (400, 0, 80))
    (tmp_path / "report.html").write_text(f'<a href="{link}">400, 0, 80</a>')
    server = ResultsServer(Results(tmp_path), lambda query: "", port=0)
    server.start()
    try:
        text = request(server, f"/{server.token}/results/report.html").read().decode()
    finally:
        server.stop()
    assert f'href="/{server.token}/open?run=default&volume=tissue-test&position=400,0,80"' in text
