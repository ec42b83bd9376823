"""The whole workflow with all its arrays in an object store: a real S3 server on the loopback interface."""

import fsspec
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")


def test_arrays_in_an_object_store_are_those_on_a_disk_and_a_deleted_one_is_computed_again(
    checkout_of, segmented, bucket
):
    store = fsspec.filesystem("s3", use_listings_cache=False)
    project = f"{bucket.removeprefix('s3://')}/project"

    def stored(name: str) -> dict[str, bytes]:
        place = f"{project}/small/tested/{name}.zarr"
        return {
            path.removeprefix(f"{place}/"): store.cat_file(path)
            for path in store.find(place)
            if ".attacca" not in path and not path.rpartition("/")[2].startswith(".")
        }

    checkout = checkout_of("stored")
    checkout.configuration.write_text(
        f"storage: s3://{project}\n" + segmented.configuration.read_text().replace("default: 2", "default: 1")
    )
    target = ("small", "tested", "segmentation.json")
    checkout.make(*target)
    for name in ("prediction", "fragments", "segmentation"):
        assert stored(name) == segmented.chunks("small", "tested", f"{name}.zarr"), name
        assert not (checkout.results / "small" / "tested" / f"{name}.zarr").exists()
    manifests = [place.results.joinpath(*target).read_text() for place in (checkout, segmented)]
    assert manifests[0] == manifests[1]

    # The ledgers are on the disk and must not outlive the array.
    before = stored("fragments")
    assert store.exists(f"{project}/small/tested.zarr/labels/fragments/s0/.attacca/token")
    store.rm(f"{project}/small/tested.zarr/labels/fragments", recursive=True)
    checkout.snakemake(
        "-R", "fragments_plan", "--", str(checkout.results / "small" / "tested" / "fragments.json")
    )
    assert stored("fragments") == before
