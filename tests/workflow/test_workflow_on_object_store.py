"""The whole workflow with all its arrays in an object store: a real S3 server on the loopback interface."""

import json

import fsspec
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_arrays_in_an_object_store_are_those_on_a_disk_and_a_deleted_one_is_computed_again(
    checkout_of, segmented, bucket
):
    store = fsspec.filesystem("s3", use_listings_cache=False)
    project = f"{bucket.removeprefix('s3://')}/project"

    def stored(name: str) -> dict[str, bytes]:
        array = f"{project}/small/tested.zarr/{name}"
        return {
            path.removeprefix(f"{array}/"): store.cat_file(path)
            for path in store.find(array)
            if ".attacca" not in path and not path.rpartition("/")[2].startswith(".")
        }

    checkout = checkout_of("stored")
    checkout.configuration.write_text(
        f"storage: s3://{project}\n" + segmented.configuration.read_text().replace("default: 2", "default: 1")
    )
    target = ("small", "tested", "segmentation.json")
    checkout.make(*target)
    for name in ("prediction", "labels/fragments", "labels/segmentation"):
        objects = stored(name)
        assert any("/c/" in f"/{path}" for path in objects), name
        assert objects == segmented.chunks("small", "tested.zarr", *name.split("/")), name
    assert not (checkout.results / "small" / "tested.zarr").exists()
    manifests = [place.results.joinpath(*target).read_text() for place in (checkout, segmented)]
    assert manifests[0] == manifests[1]

    # The ledgers are on the disk and must not outlive the array.
    before = stored("labels/fragments")
    assert store.exists(f"{project}/small/tested.zarr/labels/fragments/s0/.attacca/token")
    store.rm(f"{project}/small/tested.zarr/labels/fragments", recursive=True)
    checkout.snakemake(
        "-R", "fragments_plan", "--", str(checkout.results / "small" / "tested" / "fragments.json")
    )
    assert stored("labels/fragments") == before


def test_a_sharded_volume_on_s3_is_used_in_place_and_its_results_go_back_to_s3(
    checkout_of, segmented, bucket
):
    store = fsspec.filesystem("s3", use_listings_cache=False)
    place = f"{bucket.removeprefix('s3://')}/lab"
    checkout = checkout_of("in-place")
    volumes = segmented.results / "volumes"
    # The synthetic volume of the other run, as a lab would store it: one sharded OME-Zarr 0.5.
    metadata = json.loads((volumes / "tested.zarr" / "raw" / "s0" / "zarr.json").read_text())
    assert [codec["name"] for codec in metadata["codecs"]] == ["sharding_indexed"]
    for path in (volumes / "tested.zarr" / "raw").rglob("*"):
        if path.is_file() and ".attacca" not in path.parts:
            name = path.relative_to(volumes / "tested.zarr")
            store.pipe_file(f"{place}/tested.zarr/{name.as_posix()}", path.read_bytes())
    before = sorted(store.find(place))
    text = segmented.configuration.read_text().replace("default: 2", "default: 1")
    generated = "tested: {synthetic: {shape: [40, 36, 33], seed: 3}, voxel_size: [12, 12, 12]}"
    assert generated in text
    text = text.replace(generated, f"tested: {{raw: {{path: s3://{place}/tested.zarr/raw}}}}")
    checkout.configuration.write_text(f"storage: s3://{bucket.removeprefix('s3://')}/results\n{text}")
    checkout.make("small", "tested", "segmentation.json")
    for name in ("prediction", "labels/segmentation"):
        array = f"{bucket.removeprefix('s3://')}/results/small/tested.zarr/{name}/s0/c"
        objects = {path.removeprefix(f"{array}/"): store.cat_file(path) for path in store.find(array)}
        assert objects, name
        assert objects == segmented.chunks("small", "tested.zarr", *name.split("/"), "s0", "c"), name
    assert sorted(store.find(place)) == before
    assert not store.exists(f"{bucket.removeprefix('s3://')}/results/volumes/tested.zarr/raw/s0/c")
