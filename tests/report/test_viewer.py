"""Viewer states name arrays that are served, and nothing else is served."""

import json
import re
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from attacca.cli.main import main
from attacca.errors import MissingInputError, ResourceError
from attacca.report.local_viewer import LocalViewer, choose_volume
from attacca.report.results import Results
from attacca.report.results_server import ResultsServer, parse_numbers
from attacca.report.viewer import make_hosted_link, make_open_link, make_viewer_state


@pytest.fixture()
def server(fake_results: Any) -> Iterator[ResultsServer]:
    served = ResultsServer(
        Results(fake_results.directory), lambda query: f"http://viewer/{query['run']}", port=0
    )
    served.start()
    yield served
    served.stop()


def answer(address: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> None:
            return None

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
    try:
        with opener.open(urllib.request.Request(address, headers=headers), timeout=20) as response:
            return response.status, response.read(), dict(response.headers)
    except urllib.error.HTTPError as error:
        return error.code, error.read(), dict(error.headers)


def test_a_state_shows_raw_prediction_segmentation_and_ground_truth_in_place(fake_results: Any) -> None:
    results = Results(fake_results.directory)
    state = make_viewer_state(results, "default", "tissue-test", position=(80, 160, 240), segments=(3, 2**60))
    layers = {layer["name"]: layer for layer in state["layers"]}
    assert list(layers) == ["raw", "prediction", "segmentation", "ground truth"]
    assert state["position"] == [10.5, 20.5, 30.5]
    assert state["dimensions"]["z"] == [8e-9, "m"]
    assert layers["segmentation"]["segments"] == ["3", str(2**60)]
    assert layers["raw"]["type"] == "image" and layers["ground truth"]["type"] == "segmentation"
    json.dumps(state, allow_nan=False)


def test_black_and_white_of_the_image_are_its_percentiles_and_those_of_one_value_are_left_to_the_viewer(
    fake_results: Any, tmp_path: Path
) -> None:
    shutil.copytree(fake_results.directory, tmp_path / "results")
    results = Results(tmp_path / "results")
    record = results.layout.volume_manifest("tissue-test")
    manifest = json.loads(record.read_text())
    for measured, controls in (
        ({"0": 3, "0.5": 900.5, "99.5": 1100.0, "100": 4095}, {"normalized": {"range": [900.5, 1100.0]}}),
        ({"0": 0, "0.5": 0, "99.5": 0, "100": 7}, {"normalized": {"range": [0, 7]}}),
        ({"0": 7, "0.5": 7, "99.5": 7, "100": 7}, None),
        ({}, None),
    ):
        manifest["result"]["arrays"]["raw"]["percentiles"] = measured
        record.write_text(json.dumps(manifest))
        raw = make_viewer_state(results, "default", "tissue-test")["layers"][0]
        assert raw["name"] == "raw" and raw.get("shaderControls") == controls


def test_exported_meshes_and_skeletons_are_sources_of_the_segmentation(
    server: ResultsServer, fake_results: Any
) -> None:
    results = Results(fake_results.directory)
    export = results.layout.export("default", "tissue-test")
    for name in ("mesh", "skeletons"):
        (export / "precomputed" / name).mkdir(parents=True)
        (export / "precomputed" / name / "info").write_text("{}")
    (export / "precomputed" / "mesh" / "3:0").write_text("{}")

    def sources() -> Any:
        state = make_viewer_state(results, "default", "tissue-test", server.address)
        return next(layer["source"] for layer in state["layers"] if layer["name"] == "segmentation")

    manifest = results.layout.manifest("default", "tissue-test", "export")
    try:
        # Without a manifest, the export is unfinished or stale.
        assert isinstance(sources(), str)
        manifest.write_text("{}")
        volume, mesh, skeletons = sources()
        assert volume.startswith("zarr://")
        assert answer(mesh.removeprefix("precomputed://") + "/3:0")[0] == 200
        assert answer(skeletons.removeprefix("precomputed://") + "/info")[0] == 200
    finally:
        # Other tests read the same results.
        manifest.unlink(missing_ok=True)
        shutil.rmtree(export)


def test_every_source_of_a_state_is_answered_by_the_server(server: ResultsServer, fake_results: Any) -> None:
    state = make_viewer_state(Results(fake_results.directory), "default", "tissue-test", server.address)
    for layer in state["layers"]:
        source = layer["source"]
        address = (source if isinstance(source, str) else source["url"]).removeprefix("zarr://")
        status, content, _ = answer(f"{address}/zarr.json")
        assert status == 200 and "multiscales" in json.loads(content)["attributes"]["ome"], address
        assert answer(f"{address}/s0/zarr.json")[0] == 200


def test_a_volume_in_place_is_served_from_where_it_lies(tmp_path: Path, fake_results: Any) -> None:
    elsewhere = fake_results.directory / "volumes" / "tissue-test.zarr"
    (tmp_path / "volumes").mkdir()
    arrays = {"raw": {"container": str(elsewhere), "dataset": "raw/s0"}}
    (tmp_path / "volumes" / "mine.json").write_text(json.dumps({"result": {"arrays": arrays}}))
    results = Results(tmp_path)
    server = ResultsServer(results, lambda query: "", port=0)
    server.start()
    try:
        state = make_viewer_state(results, "", "mine", server.address)
        address = state["layers"][0]["source"].removeprefix("zarr://")
        assert "volume-mine-raw" in address
        assert answer(f"{address}/zarr.json")[0] == 200
    finally:
        server.stop()


@pytest.mark.parametrize(
    "path",
    [
        "/results/../conftest.py",
        "/results/%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        "/results/",
        "/x/y",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_served(path: str, server: ResultsServer) -> None:
    assert answer(server.address + path)[0] == 404


def without_token(server: ResultsServer) -> str:
    return server.address.removesuffix(f"/{server.token}")


@pytest.mark.parametrize(
    "path", ["", "/", "/open?run=default&volume=tissue-test", "/results/report.html", "/x/"]
)
def test_a_request_without_the_token_is_forbidden(path: str, server: ResultsServer) -> None:
    address = without_token(server)
    for wrong in (address, f"{address}/{server.token[:-1]}", f"{address}/{server.token}x"):
        status, content, headers = answer(wrong + path)
        assert status == 403 and b"needs the token" in content and "Set-Cookie" not in headers
    assert answer(address + path, Cookie=f"attacca-{address.rsplit(':', 1)[1]}=guess")[0] == 403
    assert len(server.token) >= 32


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8765", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.7:8765", 403),
        ("", 403),
        ("localhost:9999", 200),
        ("127.0.0.1", 200),
        ("[::1]:8765", 200),
    ],
)
def test_a_request_under_a_foreign_host_name_is_forbidden(
    host: str, status: int, server: ResultsServer
) -> None:
    assert answer(f"{server.address}/results/volumes/tissue-test.zarr/raw/zarr.json", Host=host)[0] == status


def test_the_first_page_lets_the_links_of_the_report_work_in_the_same_browser(server: ResultsServer) -> None:
    link = make_open_link("default", "tissue-test").removeprefix("http://127.0.0.1:8765")
    for page in ("/", link):
        cookie = answer(server.address + page)[2]["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
        status, _, headers = answer(without_token(server) + link, Cookie=f"a=b; {cookie.split(';')[0]}")
        assert (status, headers["Location"]) == (302, "http://viewer/default")


def test_a_server_for_other_machines_knows_its_names_and_numbers(fake_results: Any) -> None:
    server = ResultsServer(Results(fake_results.directory), lambda query: "", "0.0.0.0", port=0)
    try:
        assert server.is_own_host("10.0.0.7:8765") and server.is_own_host(socket.gethostname())
        assert not server.is_own_host("evil.example") and not server.is_own_host(None)
    finally:
        server.close()


def test_neuroglancer_needs_a_token_of_its_own(fake_results: Any) -> None:
    address = LocalViewer(Results(fake_results.directory)).open({"run": "default", "volume": "tissue-test"})
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v/[0-9a-f]{40}/", address)
    assert answer(address.rsplit("/", 2)[0] + "/0/")[0] == 404


def test_only_pages_of_this_machine_and_neuroglancer_may_read(server: ResultsServer) -> None:
    path = f"{server.address}/results/volumes/tissue-test.zarr/raw/zarr.json"
    allowed = "Access-Control-Allow-Origin"
    assert answer(path, Origin="http://127.0.0.1:4321")[2][allowed] == "http://127.0.0.1:4321"
    hosted = "https://neuroglancer-demo.appspot.com"
    assert answer(path, Origin=hosted)[2][allowed] == hosted
    assert allowed not in answer(path, Origin="https://elsewhere.example")[2]


def test_a_link_of_the_report_opens_a_viewer(server: ResultsServer) -> None:
    link = make_open_link("default", "tissue-test", (1, 2, 3), (4,), (5, 6))
    status, _, headers = answer(server.address + link.removeprefix("http://127.0.0.1:8765"))
    assert (status, headers["Location"]) == (302, "http://viewer/default")
    assert link.endswith("position=1,2,3&segments=4&objects=5,6")


def test_a_link_to_a_run_that_does_not_exist_is_answered_with_the_existing_runs(
    server: ResultsServer,
) -> None:
    status, content, _ = answer(f"{server.address}/open?run=nothing&volume=tissue-test")
    assert status == 404
    assert b"found no run 'nothing'" in content and b"existing runs: default" in content


def test_the_first_page_lists_what_can_be_opened(server: ResultsServer) -> None:
    status, content, _ = answer(server.address)
    assert status == 200 and b"default \xc2\xb7 tissue-test" in content


def test_a_port_in_use_is_reported(server: ResultsServer, fake_results: Any) -> None:
    port = urlsplit(server.address).port
    with pytest.raises(ResourceError, match="--port"):
        ResultsServer(Results(fake_results.directory), lambda query: "", port=port)


def test_a_missing_run_or_volume_is_reported_with_the_existing_ones(
    fake_results: Any, tmp_path: Path
) -> None:
    results = Results(fake_results.directory)
    assert choose_volume(results, None, None) == ("default", "tissue-test")
    assert choose_volume(results, "membranes", "tissue-validation") == ("membranes", "tissue-validation")
    with pytest.raises(MissingInputError, match="existing runs: default, membranes"):
        choose_volume(results, "no", None)
    with pytest.raises(MissingInputError, match="tissue-test"):
        choose_volume(results, "default", "no")
    with pytest.raises(MissingInputError, match="not a directory"):
        choose_volume(Results(tmp_path / "no"), None, None)
    with pytest.raises(MissingInputError, match="no arrays"):
        make_viewer_state(results, "default", "no")


def test_deleted_arrays_are_reported_and_the_others_are_shown(
    tmp_path: Path, fake_results: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(fake_results.directory, tmp_path, dirs_exist_ok=True)
    command = ["view", str(tmp_path), "--state", "--run", "default", "--volume", "tissue-test"]
    shutil.rmtree(tmp_path / "default" / "tissue-test.zarr" / "prediction")
    assert main(command) == 0
    printed = capsys.readouterr()
    assert (
        "default/tissue-test.zarr/prediction was deleted" in printed.err and '"segmentation"' in printed.out
    )
    for path in list(tmp_path.glob("**/tissue-test*/**/*.zarr")) + list(tmp_path.glob("**/tissue-test.zarr")):
        shutil.rmtree(path)
    assert main(command) != 0
    assert "were deleted, so that no image of the volume" in capsys.readouterr().err


@pytest.mark.parametrize("position", ["abc", "1,2", "1;2;3", ""])
def test_an_invalid_position_is_refused(
    position: str, fake_results: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", str(fake_results.directory), "--state", "--position", position]) != 0
    printed = capsys.readouterr()
    assert "position: found" in printed.err and "expected" in printed.err and not printed.out


def test_numbers_are_read_or_refused() -> None:
    assert parse_numbers("1,-2,3") == [1, -2, 3]
    assert parse_numbers("1,x") is None and parse_numbers("") is None and parse_numbers(None) is None


def test_a_state_fits_into_a_link(fake_results: Any) -> None:
    state = make_viewer_state(Results(fake_results.directory), "default", "tissue-test")
    assert make_hosted_link(state).startswith("https://neuroglancer-demo.appspot.com/#!%7B")


def test_the_command_prints_a_state(fake_results: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import argparse

    from attacca.cli import view

    parser = argparse.ArgumentParser()
    view.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["view", str(fake_results.directory), "--state", "--run", "default"])
    assert view.run(arguments) == 0
    printed = capsys.readouterr().out
    assert '"crossSectionScale"' in printed and "neuroglancer-demo" in printed
