"""Volumes behind addresses and in archives are read in place: web servers, S3 and zip files."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.n5 import create_n5_array
from attacca.arrays.storage import remote_file_system
from attacca.config.volumes import VolumeConfig
from attacca.errors import AttaccaError, DamagedDataError, VolumeError
from attacca.layout import VOLUME_IMAGES
from attacca.provenance.content_digest import digest_linked_array
from attacca.report.results_server import parse_range
from attacca.volumes import ImportBlocks, compute_content_fingerprint, open_source, prepare_volume

RAW = np.random.default_rng(0).integers(1, 255, (12, 20, 24), dtype=np.uint8)


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves files and parts of them, without lists of directories, as object stores do."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        part = parse_range(self.headers.get("Range", ""), len(data))
        self.send_response(200 if part is None else 206)
        if part is not None:
            self.send_header("Content-Range", f"bytes {part[0]}-{part[1] - 1}/{len(data)}")
            data = data[part[0] : part[1]]
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(data)

    def do_HEAD(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Address of ``tmp_path`` on a web server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(RangeHandler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def write_precomputed(kvstore, data, sharded=False):
    scale = {
        "key": "8_8_40",
        "size": list(data.shape[::-1]),
        "resolution": [8, 8, 40],
        "voxel_offset": [10, 20, 30],
        "chunk_size": [8, 8, 8],
        "encoding": "raw",
    }
    if sharded:
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "hash": "identity",
            "preshift_bits": 2,
            "minishard_bits": 1,
            "shard_bits": 1,
        }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": kvstore,
        "multiscale_metadata": {"type": "image", "data_type": data.dtype.name, "num_channels": 1},
        "scale_metadata": scale,
    }
    tensorstore.open(spec, create=True).result().write(data.T[..., None]).result()


def write(directory: Path, kind: str) -> str:
    """Write ``RAW`` with 40 x 8 x 8 nm voxels; return the name of the volume in ``directory``."""
    attributes = {"resolution": [40, 8, 8], "offset": [1200, 160, 80]}
    if kind == "zarr":
        options = {"data": RAW, "chunks": (4, 5, 6), "attributes": attributes, "zarr_format": 3}
        zarr.create_array(directory / "em.zarr", name="raw", shards=(8, 10, 12), **options)
        return "em.zarr/raw"
    if kind == "zarr2":
        options = {"data": RAW, "chunks": (4, 5, 6), "attributes": attributes, "zarr_format": 2}
        zarr.create_array(directory / "em.zarr", name="raw", **options)
        return "em.zarr/raw"
    if kind == "zip":
        with zarr.storage.ZipStore(directory / "em.zarr.zip", mode="w") as store:
            zarr.create_array(store, name="raw", data=RAW, chunks=(4, 5, 6), attributes=attributes)
        return "em.zarr.zip/raw"
    if kind == "n5":
        array = create_n5_array(directory / "em.n5", "raw", RAW.shape, (4, 5, 6), RAW.dtype)
        array[:] = RAW
        array.attrs.update({key: value[::-1] for key, value in attributes.items()})
        return "em.n5/raw"
    store = {"driver": "file", "path": f"{directory}/em/"}
    write_precomputed(store, RAW, sharded=kind == "sharded precomputed")
    return "em"


def check_in_place(config: VolumeConfig, container: Path) -> ZarrArray:
    """Link the image of a volume, read it, and return it."""
    plan = prepare_volume(config, str(container))
    assert plan.arrays["raw"].link is not None and plan.voxel_size == (40, 8, 8)
    raw = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, f"{VOLUME_IMAGES['raw']}/s0"))
    assert raw.roi == Roi((1200, 160, 80), np.array(RAW.shape) * (40, 8, 8))
    assert np.array_equal(raw[raw.roi], RAW)
    part = Roi((1280, 240, 80), (200, 80, 136))
    assert np.array_equal(raw[part], RAW[2:7, 10:20, :17])
    return raw


KINDS = ["zarr", "zarr2", "n5", "precomputed", "sharded precomputed"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_volume_on_a_web_server_is_used_in_place(tmp_path, web, kind):
    name = write(tmp_path, kind)
    prefix = "precomputed://" if "precomputed" in kind else ""
    config = VolumeConfig.model_validate({"raw": {"path": f"{prefix}{web}/{name}"}})
    check_in_place(config, tmp_path / "volume.zarr")
    assert compute_content_fingerprint(config) == compute_content_fingerprint(config)
    assert digest_linked_array(str(tmp_path / "volume.zarr"), f"{VOLUME_IMAGES['raw']}/s0") is None


@pytest.mark.parametrize("kind", ["zip", "precomputed", "sharded precomputed"])
def test_changed_voxels_of_local_containers_change_the_identity_of_the_volume(tmp_path, kind):
    path = tmp_path / write(tmp_path, kind)
    config = VolumeConfig.model_validate({"raw": {"path": path}})
    check_in_place(config, tmp_path / "volume.zarr")
    linked = (str(tmp_path / "volume.zarr"), f"{VOLUME_IMAGES['raw']}/s0")
    before, digest = compute_content_fingerprint(config), digest_linked_array(*linked)
    assert digest is not None and digest.files
    changed = next(
        file
        for file in [tmp_path / "em.zarr.zip", *sorted((tmp_path / "em").glob("8_8_40/*"))]
        if file.is_file()
    )
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    assert compute_content_fingerprint(config) != before
    assert digest_linked_array(*linked) != digest


@pytest.mark.parametrize(
    ("store", "kind"),
    [
        *(("bucket", kind) for kind in KINDS),
        # The emulator cannot answer requests for parts of shards as the real service does.
        *(("google_bucket", kind) for kind in ("zarr2", "n5", "precomputed")),
    ],
)
def test_a_volume_in_a_bucket_is_used_in_place_and_changed_voxels_change_its_identity(
    tmp_path, store, kind, monkeypatch, request
):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = request.getfixturevalue(store)
    name = write(tmp_path, kind)
    system, root = remote_file_system(bucket)
    system.put(str(tmp_path / name.split("/")[0]), f"{root}/{name.split('/')[0]}", recursive=True)
    prefix = "precomputed://" if "precomputed" in kind else ""
    config = VolumeConfig.model_validate({"raw": {"path": f"{prefix}{bucket}/{name}"}})
    check_in_place(config, tmp_path / "volume.zarr")
    before = compute_content_fingerprint(config)
    chunks = {"zarr": "raw/c/", "zarr2": "raw/0.", "n5": "raw/0/"}.get(kind, "8_8_40/")
    key = next(key for key in sorted(system.find(root)) if chunks in key)
    system.pipe_file(key, system.cat_file(key)[:-1] + b"\x00\x01")
    system.invalidate_cache()
    assert compute_content_fingerprint(config) != before


@pytest.mark.parametrize("kind", ["zarr2", "n5", "precomputed"])
def test_a_missing_chunk_of_an_image_on_a_web_server_is_an_error(tmp_path, web, kind):
    name = write(tmp_path, kind)
    prefix = "precomputed://" if "precomputed" in kind else ""
    config = VolumeConfig.model_validate({"raw": {"path": f"{prefix}{web}/{name}"}})
    raw = check_in_place(config, tmp_path / "volume.zarr")
    chunk = {
        "zarr2": "em.zarr/raw/0.0.0",
        "n5": "em.n5/raw/0/0/0",
        "precomputed": "em/8_8_40/10-18_20-28_30-38",
    }
    (tmp_path / chunk[kind]).unlink()
    again = ZarrArray(raw._config)
    with pytest.raises((DamagedDataError, VolumeError), match="missing"):
        again[again.roi]
    with pytest.raises(VolumeError, match="cannot be read"):
        open_source(config.raw).read((0, 0, 0), RAW.shape)


def test_a_scale_with_files_that_cloud_volume_compressed_is_refused(tmp_path):
    write(tmp_path, "precomputed")
    (tmp_path / "em/8_8_40/10-18_20-28_30-38").rename(tmp_path / "em/8_8_40/10-18_20-28_30-38.gz")
    with pytest.raises(VolumeError, match=r"compressed files such as 10-18_20-28_30-38\.gz.*gunzip"):
        open_source(VolumeConfig.model_validate({"raw": {"path": tmp_path / "em"}}).raw)


def test_a_missing_file_of_a_local_precomputed_image_is_named_before_any_job(tmp_path):
    from attacca.volumes.check_sources import check_sources
    from attacca.volumes.volume_plan import plan_volume

    write(tmp_path, "precomputed")
    (tmp_path / "em/8_8_40/18-26_20-28_30-38").unlink()
    config = VolumeConfig.model_validate({"raw": {"path": tmp_path / "em"}})
    (problem,) = check_sources(config, plan_volume(config)).problems
    assert "1 of 18 chunks are missing" in str(problem.error)
    assert "18-26_20-28_30-38" in str(problem.error)


@pytest.mark.parametrize("dtype", ["u1", ">u2"])
def test_axes_with_a_single_point_are_dropped_in_place(tmp_path, dtype):
    data = np.arange(2 * 6 * 8 * 10).reshape(1, 2, 6, 8, 10).astype(dtype)
    group = zarr.open_group(tmp_path / "em.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=data, chunks=(1, 1, 4, 4, 4))
    image = {
        "version": "0.4",
        "axes": [{"name": name, "type": kind} for name, kind in [("t", "time"), ("c", "channel")]]
        + [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"],
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 40, 8, 8]}]}
        ],
    }
    group.attrs["multiscales"] = [image]
    config = VolumeConfig.model_validate({"raw": {"path": tmp_path / "em.zarr", "channel": 1}})
    plan = prepare_volume(config, str(tmp_path / "volume.zarr"))
    assert plan.arrays["raw"].link is not None
    raw = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volume.zarr", "raw/s0"))
    assert raw.axes == ["z", "y", "x"] and raw.data.chunks == (4, 4, 4)
    assert np.array_equal(raw[raw.roi], data[0, 1])
    assert set(raw.object_keys(Roi((0, 0, 0), (40, 8, 80)))) == {"0.1.0.0.0", "0.1.0.0.1", "0.1.0.0.2"}
    (tmp_path / "em.zarr/0/0.1.0.0.1").unlink()
    with pytest.raises(DamagedDataError, match=r"0\.1\.0\.0\.1 \(missing\)"):
        raw[raw.roi]


def test_an_array_with_interleaved_channels_is_copied(tmp_path):
    data = np.arange(3 * 6 * 8 * 10).reshape(3, 6, 8, 10).astype("u1")
    attributes = {"resolution": [40, 8, 8], "axes": ["c", "z", "y", "x"]}
    zarr.create_array(tmp_path / "em.zarr", name="raw", data=data, chunks=(3, 4, 4, 4), attributes=attributes)
    config = VolumeConfig.model_validate({"raw": {"path": tmp_path / "em.zarr/raw", "channel": 2}})
    plan = prepare_volume(config, str(tmp_path / "volume.zarr"))
    assert plan.arrays["raw"].link is None
    blocks = ImportBlocks(config, str(tmp_path / "volume.zarr"))
    blocks(type("Block", (), {"write_roi": plan.roi}))
    raw = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volume.zarr", "raw/s0"))
    assert np.array_equal(raw[raw.roi], data[2])


def test_the_extra_of_a_missing_package_is_named(tmp_path, monkeypatch):
    import fsspec

    def fail(*_: object, **__: object) -> None:
        raise ImportError("HTTPFileSystem requires 'requests' and 'aiohttp' to be installed")

    monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
    monkeypatch.setattr(zarr.storage.FsspecStore, "from_url", fail)
    for path in ("http://example.org/em.zarr", "http://example.org/em.n5"):
        with pytest.raises(AttaccaError, match=r"aiohttp.*; python -m pip install 'attacca\[http\]'"):
            open_source(VolumeConfig.model_validate({"raw": {"path": path}}).raw)
