"""TIFF, PNG, JPEG and BMP: files with pages, and directories of sections."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from format_cases.case import COLOR, IDS, VOXELS, WIDE, FormatCase, Ranges, take_files

GRAY = "minisblack"


def _tiff(data: np.ndarray, **options: Any) -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        tifffile.imwrite(directory / "a.tif", data, **{"photometric": GRAY, **options})
        return {"path": "a.tif"}

    return write


def _pages(*parts: tuple[np.ndarray, dict[str, Any]]) -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        with tifffile.TiffWriter(directory / "a.tif") as file:
            for data, options in parts:
                file.write(data, **{"photometric": GRAY, **options})
        return {"path": "a.tif"}

    return write


def _tiffs(
    data: np.ndarray, step: int = 1, name: str = "s{:03}.tif", **options: Any
) -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        (directory / "raw").mkdir()
        for z in range(0, len(data), step):
            plane = data[z] if step == 1 else data[z : z + step]
            tifffile.imwrite(directory / "raw" / name.format(z), plane, **{"photometric": GRAY, **options})
        return {"path": "raw"}

    return write


def _images(
    suffix: str, make: Callable[[int], Image.Image], name: str = "s{}", **options: Any
) -> Callable[[Path], dict[str, Any]]:
    def write(directory: Path) -> dict[str, Any]:
        (directory / "raw").mkdir()
        for z in range(len(VOXELS)):
            make(z).save(directory / "raw" / f"{name.format(z)}{suffix}", **options)
        return {"path": "raw"}

    return write


def _gray(z: int) -> Image.Image:
    return Image.fromarray(VOXELS[z])


def _palette(order: np.ndarray, is_gray: bool = True) -> Callable[[int], Image.Image]:
    """Return a function that makes a section with a palette, in which ``order[i]`` is the gray value of index i."""

    def make(z: int) -> Image.Image:
        indices = np.argsort(order).astype(np.uint8)[VOXELS[z]]
        image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
        colors = np.repeat(order, 3).reshape(-1, 3).astype(np.uint8)
        colors[:, 0] = colors[:, 0] if is_gray else 255 - colors[:, 0]
        image.putpalette(colors.tobytes())
        return image

    return make


def _with_alpha(varies: bool) -> Callable[[int], Image.Image]:
    def make(z: int) -> Image.Image:
        alpha = VOXELS[z] if varies else np.full_like(VOXELS[z], 255)
        return Image.fromarray(np.stack([VOXELS[z], alpha], -1))

    return make


def _rgb_ids(z: int) -> Image.Image:
    return Image.fromarray(
        np.stack([IDS[z] >> 16 & 255, IDS[z] >> 8 & 255, IDS[z] & 255], -1).astype(np.uint8)
    )


def _tiff_data(directory: Path) -> Ranges:
    """Return the strips and tiles of all TIFF files."""
    ranges: Ranges = {}
    for path in sorted(directory.rglob("*.tif")):
        with tifffile.TiffFile(path) as file:
            for page in file.pages:
                pairs = zip(page.dataoffsets, page.databytecounts)
                ranges.setdefault(path, []).extend((offset, offset + count) for offset, count in pairs)
    return ranges


def _jpeg_data(directory: Path) -> Ranges:
    """Return the entropy-coded bytes of JPEG files, and their tables of quantization and codes."""
    ranges: Ranges = {}
    for path in sorted(directory.rglob("*.jpg")):
        content = path.read_bytes()
        ranges[path] = [(content.index(b"\xff\xdb"), len(content) - 2)]
    return ranges


def _turned(suffix: str) -> Callable[[Path], dict[str, Any]]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _images(suffix, _gray, exif=exif.tobytes())


_THUMBNAIL = (VOXELS[0, ::2, ::2], {"subfiletype": 1})
_SHUFFLED = np.random.default_rng(1).permutation(256)
_TIFF = "TIFF, one file"
_TIFFS = "TIFF, directory"
_PNGS = "PNG, directory"

CASES = [
    FormatCase(_TIFF, "pages, uncompressed", "tifffile", _tiff(VOXELS), VOXELS, payload=_tiff_data),
    FormatCase(_TIFF, "pages, 16 bits, big-endian", "tifffile", _tiff(WIDE, byteorder=">"), WIDE, payload=_tiff_data),
    FormatCase(_TIFF, "pages, Deflate with predictor", "tifffile", _tiff(VOXELS, compression="zlib", predictor=True), VOXELS),
    FormatCase(_TIFF, "pages, LZW", "tifffile", _tiff(VOXELS, compression="lzw"), VOXELS, payload=_tiff_data),
    FormatCase(_TIFF, "pages, PackBits", "tifffile", _tiff(VOXELS, compression="packbits"), VOXELS, payload=_tiff_data),
    FormatCase(_TIFF, "pages, Zstandard", "tifffile", _tiff(VOXELS, compression="zstd"), VOXELS, payload=_tiff_data),
    FormatCase(_TIFF, "tiles", "tifffile", _tiff(VOXELS, tile=(16, 16)), VOXELS, payload=_tiff_data),
    FormatCase(_TIFF, "volumetric tiles", "tifffile", _tiff(VOXELS, tile=(16, 16, 16), volumetric=True), VOXELS,
        payload=_tiff_data),
    FormatCase(_TIFF, "BigTIFF", "tifffile", _tiff(VOXELS, bigtiff=True), VOXELS, payload=_tiff_data),
    FormatCase(_TIFF, "series appended in pieces", "tifffile", _pages((VOXELS[:3], {}), (VOXELS[3:], {})), VOXELS,
        payload=_tiff_data),
    FormatCase(_TIFF, "sections appended one by one", "tifffile", _pages(*((plane, {}) for plane in VOXELS)), VOXELS,
        payload=_tiff_data),
    FormatCase(_TIFF, "pages of different compression", "tifffile",
        _pages((VOXELS[:3], {}), (VOXELS[3:], {"compression": "zlib"})), VOXELS, payload=_tiff_data),
    FormatCase(_TIFF, "a thumbnail first", "tifffile", _pages(_THUMBNAIL, (VOXELS, {})), VOXELS,
        reason="the thumbnail is ignored with a warning", payload=_tiff_data),
    FormatCase(_TIFF, "ImageJ, unit and spacing", "tifffile",
        _tiff(VOXELS, imagej=True, resolution=(0.25, 0.25), metadata={"unit": "nm", "spacing": 40.0, "axes": "ZYX"}), VOXELS,
        voxel_size=((40, 4, 4), "nanometer"), payload=_tiff_data),
    FormatCase(_TIFF, "OME-TIFF with voxel size", "tifffile",
        _tiff(VOXELS, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 4, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 0.04, "PhysicalSizeZUnit": "µm"}), VOXELS,
        voxel_size=((40, 4, 4), "nanometer"), payload=_tiff_data),
    FormatCase(_TIFF, "OME-TIFF with channels", "tifffile",
        _tiff(np.moveaxis(COLOR, 0, 1), ome=True, metadata={"axes": "ZCYX"}, compression="zlib"), COLOR),
    FormatCase(_TIFF, "color, planar", "tifffile",
        _tiff(np.moveaxis(COLOR, 0, 1), photometric="rgb", planarconfig="separate", compression="zlib"), COLOR),
    FormatCase(_TIFF, "white is 0 (MINISWHITE)", "tifffile", _tiff(255 - VOXELS, photometric="miniswhite"), VOXELS,
        reason="values are inverted with a warning", payload=_tiff_data),
    FormatCase(_TIFF, "12 bits, packed", "tifffile", _tiff(WIDE >> 4, compression=None, bitspersample=12), WIDE >> 4,
        payload=_tiff_data),
    FormatCase(_TIFF, "whole floating-point numbers as ids (ImageJ)", "tifffile", _tiff(IDS.astype(np.float32)), IDS,
        use="labels", payload=_tiff_data),
    FormatCase(_TIFF, "labels, 32 bits", "tifffile", _tiff(IDS, compression="zlib"), IDS, use="labels"),
    FormatCase(_TIFF, "pages of different size", "", _pages((VOXELS[0, :5, :5], {}), (VOXELS, {})), refused="several kinds",
        reason="the pages do not form one stack"),
    FormatCase(_TIFF, "labels with color", "", _tiff(np.moveaxis(COLOR, 0, -1), photometric="rgb"), use="labels",
        refused="holds colors", reason="colors are not ids; 'encoding: rgb' reads VAST's"),
    FormatCase(_TIFF, "labels, white is 0", "", _tiff(IDS.astype(np.uint8), photometric="miniswhite"), use="labels",
        refused="MINISWHITE", reason="the meaning of 0 is ambiguous"),
    FormatCase(_TIFF, "labels, JPEG", "", _tiff(VOXELS, compression="jpeg"), use="labels", refused="compressed with JPEG",
        reason="JPEG changes ids"),
    FormatCase(_TIFF, "CMYK", "", _tiff(np.stack([VOXELS] * 4, -1), photometric="separated"), refused="color space",
        reason="a color space without gray values"),
    FormatCase(_TIFF, "orientation other than 1", "", _tiff(VOXELS, extratags=[(274, 3, 1, 8, True)]), refused="orientation 8",
        reason="programs show it differently"),
    FormatCase(_TIFFS, "one section per file", "tifffile", _tiffs(VOXELS), VOXELS, payload=_tiff_data),
    FormatCase(_TIFFS, "several sections per file", "tifffile", _tiffs(VOXELS, step=2), VOXELS, payload=_tiff_data),
    FormatCase(_TIFFS, "numbers without zeros before them", "tifffile", _tiffs(WIDE, name="s{}.tif", compression="zlib"), WIDE),
    FormatCase(_PNGS, "8 bits", "imagecodecs", _images(".png", _gray), VOXELS),
    FormatCase(_PNGS, "16 bits", "imagecodecs", _images(".png", lambda z: Image.fromarray(WIDE[z])), WIDE),
    FormatCase(_PNGS, "1 bit", "PIL", _images(".png", lambda z: Image.fromarray(VOXELS[z] > 127)),
        (VOXELS > 127).astype(np.uint8)),
    FormatCase(_PNGS, "palette of gray values in any order", "PIL", _images(".png", _palette(_SHUFFLED)), VOXELS),
    FormatCase(_PNGS, "equal opacities (alpha)", "imagecodecs", _images(".png", _with_alpha(False)), VOXELS),
    FormatCase(_PNGS, "gray values saved as color", "imagecodecs",
        _images(".png", lambda z: Image.fromarray(np.stack([VOXELS[z]] * 3, -1))), VOXELS),
    FormatCase(_PNGS, "ids as colors, encoding: rgb", "imagecodecs",
        lambda directory: {**_images(".png", _rgb_ids)(directory), "encoding": "rgb"}, IDS, use="labels"),
    FormatCase(_PNGS, "ids as colors without encoding", "", _images(".png", _rgb_ids), use="labels",
        refused="encoding: rgb", reason="'encoding: rgb' reads them"),
    FormatCase(_PNGS, "palette of colors", "", _images(".png", _palette(_SHUFFLED, is_gray=False)),
        refused="palette of colors", reason="indices are not gray values"),
    FormatCase(_PNGS, "opacities that vary", "", _images(".png", _with_alpha(True)), refused="opacities",
        reason="the gray value is not defined"),
    FormatCase(_PNGS, "orientation in EXIF", "", _turned(".png"), refused="orientation 6", reason="programs show it differently"),
    FormatCase("JPEG, directory", "orientation in EXIF", "", _turned(".jpg"), refused="orientation 6",
        reason="programs show it differently"),
    FormatCase("JPEG, directory", "8 bits", "PIL", _images(".jpg", _gray, quality=100), VOXELS, tolerance=3,
        reason="raw only: JPEG changes values", payload=_jpeg_data, is_compressed=True),
    FormatCase("JPEG, directory", "labels", "", _images(".jpg", _gray), use="labels", refused="compressed with JPEG",
        reason="JPEG changes ids"),
    FormatCase("BMP, directory", "8 bits", "PIL", _images(".bmp", _gray), VOXELS, payload=take_files("raw/*.bmp", 54)),
]  # fmt: skip
