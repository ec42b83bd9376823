"""Viewers read single chunks of a shard through the results server."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.report import results_server
from attacca.report.results import Results
from attacca.report.results_server import ResultsServer, parse_range


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, np.ndarray, list[str]]]:
    """Address of an array of one shard with eight chunks, its voxels, and the requests for its shard."""
    identifier = LocalArrayIdentifier(tmp_path / "volumes/cube.zarr", "raw/s0")
    roi = Roi((0, 0, 0), (128, 128, 128))
    array = ZarrArray.create_from_array_identifier(
        identifier, ["z", "y", "x"], roi, None, (1, 1, 1), np.uint8, write_size=(128, 128, 128)
    )
    voxels = np.random.default_rng(0).integers(0, 255, (128, 128, 128), dtype=np.uint8)
    array[roi] = voxels
    requests: list[str] = []
    lock = threading.Lock()
    original = results_server._Handler.do_GET

    def do_get(handler: Any) -> None:
        if "/c/" in handler.path:
            with lock:
                requests.append(handler.headers.get("Range", "whole"))
        original(handler)

    monkeypatch.setattr(results_server._Handler, "do_GET", do_get)
    server = ResultsServer(Results(tmp_path), lambda query: "", port=0)
    server.start()
    yield f"{server.address}/results/volumes/cube.zarr/raw/s0", voxels, requests
    server.stop()


def test_a_chunk_of_a_shard_costs_one_range_request_beside_that_of_the_index(served):
    tensorstore = pytest.importorskip("tensorstore")
    address, voxels, requests = served
    context = {"cache_pool": {"total_bytes_limit": 100_000_000}}
    store = tensorstore.open(
        {"driver": "zarr3", "kvstore": f"{address}/", "context": context, "recheck_cached_data": "open"},
        open=True,
    ).result()
    first = store[:64, :64, :64].read().result()
    assert np.array_equal(first, voxels[:64, :64, :64])
    assert len(requests) == 2 and "whole" not in requests
    second = store[64:, :64, 64:].read().result()
    assert np.array_equal(second, voxels[64:, :64, 64:])
    assert len(requests) == 3


def test_zarr_reads_a_chunk_of_a_shard_by_ranges(served):
    address, voxels, requests = served
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(address, ""))
    assert np.array_equal(array[Roi((0, 0, 0), (64, 64, 64))], voxels[:64, :64, :64])
    assert "whole" not in requests and len(requests) == 2


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 100)),
        ("bytes=-200", (0, 100)),
        ("bytes=100-", (100, 100)),
        ("bytes=-", None),
        ("items=0-1", None),
        ("bytes=1-2,4-5", None),
    ],
)
def test_ranges_are_parsed_or_ignored(header, part):
    assert parse_range(header, 100) == part
