"""HDF5, Zarr, N5, Neuroglancer Precomputed and MRC."""

import bz2
import gzip
import json
import lzma
import shutil
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import tensorstore
import zarr
from numcodecs import LZ4, Blosc, GZip, Zlib, Zstd
from zarr.codecs import (
    BloscCodec,
    Crc32cCodec,
    GzipCodec,
    TransposeCodec,
    ZstdCodec,
)

from format_cases.case import COLOR, IDS, VOXELS, WIDE, FormatCase, Ranges, list_files, take_files

_HDF5, _ZARR2, _ZARR3, _OME = "HDF5", "Zarr 2", "Zarr 3", "OME-Zarr"
_N5, _PRECOMPUTED, _MRC = "N5", "Neuroglancer Precomputed", "MRC"
_SIZE = ((40.0, 4.0, 4.0), "nanometer")
_CHUNKS = (3, 8, 8)


def _hdf5(
    data: np.ndarray, name: str = "raw", libver: str | None = None, attributes: dict[str, Any] | None = None, **options: Any
) -> Callable[[Path], dict[str, Any]]:  # fmt: skip
    def write(directory: Path) -> dict[str, Any]:
        with h5py.File(directory / "a.h5", "w", libver=libver) as file:
            dataset = file.create_dataset(name, data=data, **options)
            dataset.attrs.update(attributes or {})
        return {"path": "a.h5"}

    return write


def _axistags(order: str) -> dict[str, Any]:
    flags = {"c": 1, "t": 8}
    tags = [
        {"key": axis, "typeFlags": flags.get(axis, 2), "resolution": 0, "description": ""} for axis in order
    ]
    return {"axistags": json.dumps({"axes": tags})}


def _linked(directory: Path) -> dict[str, Any]:
    with h5py.File(directory / "other.h5", "w") as file:
        file["deep/raw"] = VOXELS
    with h5py.File(directory / "a.h5", "w") as file:
        file["raw"] = h5py.ExternalLink("other.h5", "/deep/raw")
    return {"path": "a.h5", "dataset": "raw"}


def _virtual(directory: Path) -> dict[str, Any]:
    layout = h5py.VirtualLayout(VOXELS.shape, VOXELS.dtype)
    for z in range(0, len(VOXELS), 3):
        with h5py.File(directory / f"part{z}.h5", "w") as file:
            file["raw"] = VOXELS[z : z + 3]
        layout[z : z + 3] = h5py.VirtualSource(f"part{z}.h5", "raw", (3, *VOXELS.shape[1:]))
    with h5py.File(directory / "a.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    return {"path": "a.h5", "dataset": "raw"}


def _imaris(directory: Path) -> dict[str, Any]:
    with h5py.File(directory / "a.h5", "w") as file:
        file.attrs["ImarisDataSet"] = np.frombuffer(b"ImarisDataSet", "S1")
        name = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data"
        file[name] = np.pad(VOXELS, ((0, 2), (0, 12), (0, 16)))
    return {"path": "a.h5", "dataset": name}


def hdf5_data(directory: Path) -> Ranges:
    """Return the voxels of all data sets that are stored in one piece or in chunks."""
    ranges: Ranges = {}

    def add(path: Path, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.is_virtual:
            return
        if item.chunks is None:
            found = [(item.id.get_offset(), item.id.get_storage_size())]
        else:
            infos = [item.id.get_chunk_info(index) for index in range(item.id.get_num_chunks())]
            found = [(info.byte_offset, info.size) for info in infos]
        ranges.setdefault(path, []).extend((begin, begin + size) for begin, size in found)

    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path) as file:
            file.visititems(lambda _, item, path=path: add(path, item))
    return ranges


def _zarr(
    data: np.ndarray, attributes: dict[str, Any] | None = None, name: str = "a.zarr", **options: Any
) -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        array = zarr.create_array(
            directory / name,
            name="raw",
            shape=data.shape,
            dtype=data.dtype,
            attributes=attributes or {},
            **{"chunks": _CHUNKS, "zarr_format": 2, "compressors": None, **options},
        )
        array[...] = data
        return {"path": f"{name}/raw"}

    return write


def _zarr3(data: np.ndarray, **options: Any) -> Callable[[Path], dict[str, Any]]:
    return _zarr(
        data, {"resolution": [40, 4, 4], "offset": [0, 0, 0], "units": "nm"}, zarr_format=3, **options
    )


def _zipped(write: Callable[[Path], dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    def write_zip(directory: Path) -> dict[str, Any]:
        source = directory / write(directory)["path"]
        root = directory / source.relative_to(directory).parts[0]
        with zipfile.ZipFile(directory / "a.zarr.zip", "w") as file:
            for path in list_files(root):
                file.write(path, path.relative_to(root))
        shutil.rmtree(root)
        return {"path": "a.zarr.zip", "dataset": "raw"}

    return write_zip


def _nested_without_separator(directory: Path) -> dict[str, Any]:
    keys = _zarr(VOXELS, chunk_key_encoding={"name": "v2", "separator": "/"})(directory)
    path = directory / "a.zarr" / "raw" / ".zarray"
    values = json.loads(path.read_text())
    values.pop("dimension_separator")
    path.write_text(json.dumps(values))
    return keys


def _ome(
    data: np.ndarray, version: str, axes: Sequence[str], unit: str | None = "nanometer", **options: Any
) -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        is_new = version == "0.5"
        group = zarr.open_group(directory / "a.zarr", mode="w", zarr_format=3 if is_new else 2)
        chunks = (1,) * (data.ndim - 3) + _CHUNKS
        group.create_array("0", data=data, chunks=chunks, compressors=options.get("compressors"))
        image: dict[str, Any] = {"version": version, "datasets": [{"path": "0"}]}
        if version == "0.3":
            image["axes"] = list(axes)
        elif version not in ("0.1", "0.2"):
            kinds = {"c": "channel", "t": "time"}
            image["axes"] = [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes]
            for axis in image["axes"]:
                if axis["type"] == "space" and unit is not None:
                    axis["unit"] = unit
            scale = [{"z": 40.0, "y": 4.0, "x": 4.0}.get(axis, 1.0) for axis in axes]
            image["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": scale}]
        group.attrs.update(
            {"ome": {"version": version, "multiscales": [image]}} if is_new else {"multiscales": [image]}
        )
        return {"path": "a.zarr"}

    return write


def write_n5(
    data: np.ndarray,
    compression: Any,
    encode: Callable[[bytes], bytes] = bytes,
    name: str = "raw",
    **attributes: Any,
) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes an N5 array in two blocks along z."""

    def write(directory: Path) -> dict[str, Any]:
        root = directory / "a.n5" / name
        shape, half = data.shape[::-1], len(data) // 2
        for index in range(2):
            block = root / "0" / "0" / str(index)
            block.parent.mkdir(parents=True, exist_ok=True)
            part = data[index * half : (index + 1) * half]
            header = struct.pack(">HH3I", 0, 3, *part.shape[::-1])
            block.write_bytes(header + encode(part.astype(part.dtype.newbyteorder(">")).tobytes()))
        values = {"dimensions": list(shape), "blockSize": [*shape[:2], half], "dataType": data.dtype.name}
        values |= (
            {"compressionType": compression} if isinstance(compression, str) else {"compression": compression}
        )
        (directory / "a.n5" / "attributes.json").write_text(json.dumps({"n5": "2.5.1"}))
        (root / "attributes.json").write_text(json.dumps({**values, **attributes}))
        return {"path": f"a.n5/{name}"}

    return write


_SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1", "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 1,
    "hash": "identity", "minishard_index_encoding": "gzip", "data_encoding": "gzip",
}  # fmt: skip


def _precomputed(
    data: np.ndarray, encoding: str = "raw", sharding: dict[str, Any] | None = None
) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes voxels ``[c, z, y, x]``."""

    def write(directory: Path) -> dict[str, Any]:
        scale: dict[str, Any] = {
            "key": "4_4_40", "size": list(data.shape[:0:-1]), "resolution": [4, 4, 40], "voxel_offset": [0, 0, 0],
            "chunk_size": [8, 8, 3], "encoding": encoding,
        }  # fmt: skip
        scale |= {"sharding": sharding} if sharding else {}
        if encoding == "compressed_segmentation":
            scale["compressed_segmentation_block_size"] = [4, 4, 4]
        kind = "segmentation" if encoding == "compressed_segmentation" else "image"
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{directory}/a/"},
            "multiscale_metadata": {"type": kind, "data_type": data.dtype.name, "num_channels": len(data)},
            "scale_metadata": scale,
        }
        tensorstore.open(spec, create=True).result().write(data.T).result()
        return {"path": "a"}

    return write


def _mrc(data: np.ndarray, is_big: bool = False, **header: Any) -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        path = directory / "a.mrc"
        with mrcfile.new(path) as file:
            file.set_data(data)
            file.set_volume()
            file.voxel_size = (40.0, 40.0, 400.0)
            for name, value in header.items():
                file.header[name] = value
        if is_big:
            content = path.read_bytes()
            head = np.frombuffer(content[:1024], mrcfile.dtypes.HEADER_DTYPE).byteswap()
            head["machst"] = [0x11, 0x11, 0, 0]
            path.write_bytes(head.tobytes() + data.byteswap().tobytes())
        return {"path": "a.mrc"}

    return write


_ANGSTROM = ((400.0, 40.0, 40.0), "angstrom")
_SHORT = VOXELS.astype(np.int16)
_FIVE = VOXELS[None, None]
_ATTRIBUTES = {"resolution": [40.0, 4.0, 4.0], "units": "nm"}
_CRC = [ZstdCodec(level=1), Crc32cCodec()]
_BLOCKS = take_files("a.n5/raw/0/**/*", 16)
_ZARR_CHUNKS = take_files("a.zarr/raw/[0-9c]*")
_DEEP_CHUNKS = take_files("a.zarr/raw/c/**/*")

CASES = [
    FormatCase(_HDF5, "contiguous", "h5py", _hdf5(VOXELS, attributes=_ATTRIBUTES), VOXELS, voxel_size=_SIZE, payload=hdf5_data),
    FormatCase(_HDF5, "chunks, gzip", "h5py", _hdf5(VOXELS, chunks=_CHUNKS, compression="gzip"), VOXELS),
    FormatCase(_HDF5, "chunks, gzip with shuffle", "h5py", _hdf5(WIDE, chunks=_CHUNKS, compression="gzip", shuffle=True), WIDE),
    FormatCase(_HDF5, "chunks, LZF", "h5py", _hdf5(VOXELS, chunks=_CHUNKS, compression="lzf"), VOXELS, payload=hdf5_data),
    FormatCase(_HDF5, "chunks, Fletcher-32 checksums", "h5py", _hdf5(VOXELS, chunks=_CHUNKS, fletcher32=True), VOXELS),
    FormatCase(_HDF5, "latest version of the format", "h5py", _hdf5(VOXELS, libver="latest", chunks=_CHUNKS, compression="gzip"),
        VOXELS),
    FormatCase(_HDF5, "big-endian", "h5py", _hdf5(WIDE.astype(">u2")), WIDE, payload=hdf5_data),
    FormatCase(_HDF5, "ilastik, axistags tzyxc", "h5py",
        _hdf5(VOXELS[None, ..., None], "exported_data", attributes=_axistags("tzyxc")), VOXELS, payload=hdf5_data),
    FormatCase(_HDF5, "ilastik, axistags xyz", "h5py", _hdf5(VOXELS.transpose(2, 1, 0), attributes=_axistags("xyz")), VOXELS,
        payload=hdf5_data),
    FormatCase(_HDF5, "labels of CREMI, 64 bits", "h5py",
        _hdf5(IDS.astype(np.uint64) + 2**53, "volumes/labels/neuron_ids", compression="gzip", attributes=_ATTRIBUTES),
        IDS.astype(np.uint64) + 2**53, use="labels", voxel_size=_SIZE),
    FormatCase(_HDF5, "external link", "h5py", _linked, VOXELS, payload=hdf5_data),
    FormatCase(_HDF5, "virtual data set", "h5py", _virtual, VOXELS, payload=hdf5_data),
    FormatCase(_HDF5, "Imaris, renamed", "", _imaris, refused="Imaris", reason="data sets are padded; bioformats2raw converts it"),
    FormatCase(_HDF5, "axes that cannot be known", "", _hdf5(VOXELS[:3, ..., None].repeat(3, -1)), refused="axes",
        reason="'axes' in the configuration reads it"),
    FormatCase(_HDF5, "chunks that were never written", "", _hdf5(None, shape=VOXELS.shape, dtype="u1", chunks=_CHUNKS),
        reason="'missing_chunks: zero' reads it", refused="never written"),
    FormatCase(_ZARR2, "uncompressed", "zarr", _zarr(VOXELS, _ATTRIBUTES), VOXELS, voxel_size=_SIZE, payload=_ZARR_CHUNKS),
    FormatCase(_ZARR2, "Blosc", "zarr", _zarr(WIDE, compressors=Blosc()), WIDE, payload=_ZARR_CHUNKS, is_compressed=True),
    FormatCase(_ZARR2, "zlib", "zarr", _zarr(VOXELS, compressors=Zlib()), VOXELS),
    FormatCase(_ZARR2, "gzip", "zarr", _zarr(VOXELS, compressors=GZip()), VOXELS),
    FormatCase(_ZARR2, "Zstandard", "zarr", _zarr(VOXELS, compressors=Zstd()), VOXELS, payload=_ZARR_CHUNKS),
    FormatCase(_ZARR2, "LZ4", "zarr", _zarr(VOXELS, compressors=LZ4()), VOXELS, payload=_ZARR_CHUNKS),
    FormatCase(_ZARR2, "big-endian, order F", "zarr", _zarr(WIDE.astype(">u2"), order="F"), WIDE, payload=_ZARR_CHUNKS),
    FormatCase(_ZARR2, "nested chunks without dimension_separator", "zarr", _nested_without_separator, VOXELS,
        payload=take_files("a.zarr/raw/[0-9]/**/*")),
    FormatCase(_ZARR2, "in a zip file", "zarr", _zipped(_zarr(VOXELS)), VOXELS),
    FormatCase(_ZARR3, "uncompressed", "zarr", _zarr3(VOXELS), VOXELS, voxel_size=_SIZE, payload=_DEEP_CHUNKS),
    FormatCase(_ZARR3, "Zstandard and crc32c", "zarr", _zarr3(VOXELS, compressors=_CRC), VOXELS, voxel_size=_SIZE),
    FormatCase(_ZARR3, "gzip", "zarr", _zarr3(VOXELS, compressors=GzipCodec()), VOXELS, voxel_size=_SIZE),
    FormatCase(_ZARR3, "Blosc", "zarr", _zarr3(WIDE, compressors=BloscCodec()), WIDE, voxel_size=_SIZE, payload=_DEEP_CHUNKS,
        is_compressed=True),
    FormatCase(_ZARR3, "shards, crc32c", "zarr", _zarr3(VOXELS, shards=(6, 16, 16), compressors=_CRC), VOXELS, voxel_size=_SIZE),
    FormatCase(_ZARR3, "transposed", "zarr", _zarr3(VOXELS, filters=TransposeCodec(order=(2, 0, 1)), compressors=_CRC), VOXELS,
        voxel_size=_SIZE),
    FormatCase(_ZARR3, "in a zip file", "zarr", _zipped(_zarr3(VOXELS)), VOXELS, voxel_size=_SIZE),
    FormatCase(_OME, "0.1, five axes", "zarr", _ome(_FIVE, "0.1", "tczyx", compressors=Zlib()), VOXELS),
    FormatCase(_OME, "0.3, axes as letters", "zarr", _ome(_FIVE, "0.3", "tczyx", compressors=Zlib()), VOXELS),
    FormatCase(_OME, "0.4", "zarr", _ome(VOXELS, "0.4", "zyx", compressors=Zlib()), VOXELS, voxel_size=_SIZE),
    FormatCase(_OME, "0.4, axes x, y, z", "zarr", _ome(VOXELS.transpose(2, 1, 0), "0.4", "xyz", compressors=Zlib()), VOXELS,
        voxel_size=_SIZE),
    FormatCase(_OME, "0.4, channels", "zarr", _ome(COLOR, "0.4", "czyx", compressors=Zlib()), COLOR, voxel_size=_SIZE),
    FormatCase(_OME, "0.5", "zarr", _ome(VOXELS, "0.5", "zyx", compressors=_CRC), VOXELS, voxel_size=_SIZE),
    FormatCase(_OME, "unit that is not a length", "zarr", _ome(VOXELS, "0.4", "zyx", "pixel", compressors=Zlib()), VOXELS,
        reason="'voxel_size' has to be configured"),
    FormatCase(_OME, "several points of time", "", _ome(np.stack([_FIVE[0]] * 2), "0.4", "tczyx", compressors=Zlib()),
        refused="points along the axis 't'", reason="one point has to be an array of its own"),
    FormatCase(_N5, "uncompressed", "tensorstore", write_n5(WIDE, {"type": "raw"}), WIDE, payload=_BLOCKS),
    FormatCase(_N5, "gzip", "tensorstore", write_n5(VOXELS, {"type": "gzip", "level": 5}, gzip.compress), VOXELS),
    FormatCase(_N5, "Blosc", "tensorstore",
        write_n5(WIDE, {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0, "nthreads": 4},
            lambda content: Blosc("lz4", 5, Blosc.SHUFFLE).encode(np.frombuffer(content, "u2"))), WIDE, payload=_BLOCKS),
    FormatCase(_N5, "Zstandard", "tensorstore", write_n5(VOXELS, {"type": "zstd", "level": 3, "nbWorkers": 0}, Zstd().encode), VOXELS,
        payload=_BLOCKS),
    FormatCase(_N5, "bzip2", "tensorstore",
        write_n5(VOXELS, {"type": "bzip2", "blockSize": 9}, bz2.compress), VOXELS),
    FormatCase(_N5, "xz", "tensorstore", write_n5(VOXELS, {"type": "xz", "preset": 6}, lzma.compress), VOXELS),
    FormatCase(_N5, "first version (compressionType)", "tensorstore", write_n5(VOXELS, "gzip", gzip.compress), VOXELS),
    FormatCase(_N5, "COSEM transform", "tensorstore",
        write_n5(VOXELS, {"type": "gzip"}, gzip.compress, transform={"axes": ["z", "y", "x"], "scale": [40.0, 4.0, 4.0],
            "translate": [0.0, 0.0, 0.0], "units": ["nm", "nm", "nm"]}), VOXELS, voxel_size=_SIZE),
    FormatCase(_N5, "LZ4", "", write_n5(VOXELS, {"type": "lz4", "blockSize": 65536}), refused="compression 'lz4'",
        reason="TensorStore does not decode it"),
    FormatCase(_N5, "label multiset (Paintera)", "", write_n5(VOXELS, {"type": "gzip"}, gzip.compress, isLabelMultiset=True),
        refused="label multiset", reason="paintera-conversion-helper exports one id per voxel"),
    FormatCase(_PRECOMPUTED, "image, uncompressed", "tensorstore", _precomputed(VOXELS[None]), VOXELS, voxel_size=_SIZE,
        payload=take_files("a/4_4_40/*")),
    FormatCase(_PRECOMPUTED, "image, PNG", "tensorstore", _precomputed(VOXELS[None], "png"), VOXELS, voxel_size=_SIZE),
    FormatCase(_PRECOMPUTED, "three channels", "tensorstore", _precomputed(COLOR), COLOR, voxel_size=_SIZE,
        payload=take_files("a/4_4_40/*")),
    FormatCase(_PRECOMPUTED, "image, sharded, gzip", "tensorstore", _precomputed(VOXELS[None], sharding=_SHARDING), VOXELS,
        voxel_size=_SIZE),
    FormatCase(_PRECOMPUTED, "labels, compressed_segmentation", "tensorstore",
        _precomputed(IDS[None], "compressed_segmentation"), IDS, use="labels", voxel_size=_SIZE,
        payload=take_files("a/4_4_40/*"), is_compressed=True),
    FormatCase(_MRC, "16 bits", "mrcfile", _mrc(_SHORT), _SHORT, voxel_size=_ANGSTROM, payload=take_files("*.mrc", 1024)),
    FormatCase(_MRC, "floating-point numbers", "mrcfile", _mrc(VOXELS.astype(np.float32)), VOXELS.astype(np.float32),
        voxel_size=_ANGSTROM, payload=take_files("*.mrc", 1024)),
    FormatCase(_MRC, "whole floating-point numbers as ids", "mrcfile", _mrc(IDS.astype(np.float32)), IDS,
        use="labels", payload=take_files("*.mrc", 1024)),
    FormatCase(_MRC, "big-endian", "mrcfile", _mrc(_SHORT, is_big=True), _SHORT, voxel_size=_ANGSTROM,
        payload=take_files("*.mrc", 1024)),
    FormatCase(_MRC, "columns along y (mapc, mapr)", "mrcfile", _mrc(_SHORT.transpose(0, 2, 1), mapc=2, mapr=1), _SHORT,
        payload=take_files("*.mrc", 1024)),
    FormatCase(_MRC, "complex numbers", "", _mrc(VOXELS.astype(np.complex64)), refused="complex numbers",
        reason="they have to be converted to real numbers"),
]  # fmt: skip
