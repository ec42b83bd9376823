"""The whole workflow with all its arrays in an object store: a real S3 server on the loopback interface."""

import subprocess
import sys
import time
import urllib.request

import fsspec
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """Address of an empty bucket."""
    with open(tmp_path / "server.log", "w") as log:
        command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        address, end = None, time.monotonic() + 120
        while address is None:
            assert time.monotonic() < end and server.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
            words = (tmp_path / "server.log").read_text().split()
            address = next((word for word in words if word.startswith("http://127.0.0.1:")), None)
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        urllib.request.urlopen(urllib.request.Request(f"{address}/volumes", method="PUT"), timeout=60).close()
        yield address
    finally:
        server.terminate()
        server.wait(timeout=20)


def test_arrays_in_an_object_store_are_those_on_a_disk_and_a_deleted_one_is_computed_again(
    checkout_of, segmented, bucket
):
    store = fsspec.filesystem("s3", client_kwargs={"endpoint_url": bucket}, use_listings_cache=False)

    def stored(name: str) -> dict[str, bytes]:
        place = f"volumes/project/small/tested/{name}.zarr"
        return {
            path.removeprefix(f"{place}/"): store.cat_file(path)
            for path in store.find(place)
            if ".attacca" not in path and not path.rpartition("/")[2].startswith(".")
        }

    checkout = checkout_of("stored")
    checkout.configuration.write_text(
        "storage: s3://volumes/project\n"
        + segmented.configuration.read_text().replace("default: 2", "default: 1")
    )
    target = ("small", "tested", "segmentation.json")
    checkout.make(*target)
    for name in ("prediction", "fragments", "segmentation"):
        assert stored(name) == segmented.chunks("small", "tested", f"{name}.zarr"), name
        assert not (checkout.results / "small" / "tested" / f"{name}.zarr").exists()
    manifests = [place.results.joinpath(*target).read_text() for place in (checkout, segmented)]
    assert manifests[0] == manifests[1]

    # The ledgers stand on the disk and must not outlive the array.
    before = stored("fragments")
    assert store.exists("volumes/project/small/tested/fragments.zarr/s0/.attacca/token")
    store.rm("volumes/project/small/tested/fragments.zarr", recursive=True)
    checkout.snakemake(
        "-R", "fragments_plan", "--", str(checkout.results / "small" / "tested" / "fragments.json")
    )
    assert stored("fragments") == before
