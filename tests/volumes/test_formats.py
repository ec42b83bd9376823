"""Each variant of each format is read with the right voxels or refused with a reason; ``docs/formats.md`` lists them."""

import os
from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacca.config.volumes import ArraySource, LabelArraySource, VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes import open_source, plan_volume
from attacca.volumes.readers.foreign_formats import CONVERTERS
from attacca.volumes.readers.open_source import select_channel
from format_cases import CASES
from format_cases.case import FormatCase

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "formats.md"
REWRITE = "ATTACCA_WRITE_DOCS"
DECODERS = {
    "tifffile": "TiffFile",
    "imagecodecs": "png_decode",
    "PIL.Image": "open",
    "h5py": "File",
    "zarr": "open_array",
    "tensorstore": "open",
    "mrcfile": "open",
    "rsciio.digitalmicrograph._api": "DigitalMicrographReader.parse_file",
    "wkw": "Dataset.open",
}
"""A function of each library without which it cannot read a file."""


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the libraries that were called."""
    found: set[str] = set()

    def watch(module: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def record(*arguments: Any, **options: Any) -> Any:
            found.add(module.partition(".")[0])
            return call(*arguments, **options)

        return record

    for module, name in DECODERS.items():
        monkeypatch.setattr(f"{module}.{name}", watch(module, attrgetter(name)(import_module(module))))
    return found


@pytest.mark.parametrize("case", [case for case in CASES if case.expected is not None], ids=str)
def test_the_voxels_of_each_variant_are_right(case: FormatCase, tmp_path: Path, used: set[str]):
    keys = case.write(tmp_path)
    used.clear()
    config = (LabelArraySource if case.use == "labels" else ArraySource)(
        **{**keys, "path": tmp_path / keys["path"]}
    )
    source = select_channel(open_source(config, case.use), config)
    voxels = source.read((0,) * source.dims, source.spatial_shape)
    assert used == {case.library}
    assert voxels.shape == case.expected.shape and voxels.dtype.kind == case.expected.dtype.kind
    assert np.abs(voxels.astype(object) - case.expected.astype(object)).max() <= case.tolerance
    if case.voxel_size is not None:
        assert (source.metadata.voxel_size, source.metadata.unit) == case.voxel_size


@pytest.mark.parametrize("case", [case for case in CASES if case.expected is None], ids=str)
def test_each_variant_that_cannot_be_read_right_is_refused_with_its_reason(case: FormatCase, tmp_path: Path):
    keys = case.write(tmp_path)
    config: dict[str, Any] = {"raw": {**keys, "path": tmp_path / keys["path"]}, "voxel_size": [40, 4, 4]}
    if case.use == "labels":
        config = {**config, "raw": _write_plain(tmp_path), "labels": config["raw"]}
    with pytest.raises(VolumeError, match=case.refused):
        plan_volume(VolumeConfig.model_validate(config))


def _write_plain(directory: Path) -> dict[str, Any]:
    plain = next(case for case in CASES if case.format == "MRC" and case.expected is not None)
    (directory / "plain").mkdir()
    return {"path": directory / "plain" / plain.write(directory / "plain")["path"]}


def test_the_page_of_formats_lists_the_tested_variants():
    text = make_page()
    if os.environ.get(REWRITE):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, f"set {REWRITE}=1 to write the page again"


def make_page() -> str:
    """Return the page: variants that are read or refused, and programs that convert other formats."""
    rows = ["| format | variant | result | library |", "|---|---|---|---|"]
    for case in CASES:
        result = "read" if case.expected is not None else "refused"
        kind = f" as {case.use}" if case.use == "labels" else ""
        reason = f": {case.reason}" if case.reason else ""
        rows.append(f"| {case.format} | {case.variant} | {result}{kind}{reason} | {case.library or '—'} |")
    others: dict[tuple[str, str], list[str]] = {}
    for suffix, conversion in CONVERTERS.items():
        others.setdefault(conversion, []).append(f"`{suffix}`")
    converters = ["| suffix | format | converter |", "|---|---|---|"]
    converters += [
        f"| {', '.join(names)} | {name} | {program} |" for (name, program), names in others.items()
    ]
    return _PAGE.format("\n".join(rows), "\n".join(converters))


_PAGE = """# Formats

The table lists variants of each format: those whose voxels are read right, and those that are refused before anything is
computed. Tests write a small file of each variant (`tests/format_cases`), compare all its voxels, and write this page
(`tests/volumes/test_formats.py`). Zarr, N5 and Precomputed are read from a directory or an address (`s3://`, `gs://`,
`https://`), Zarr also from a zip file. `attacca check` prints for each source its shape, type, axes, voxel size and offset,
and where each value was taken from; keys of the configuration overrule the file
([configuration.md](configuration.md#volumesname)).

Two formats need further packages, which `attacca check` reports if they are missing: DigitalMicrograph `python -m pip install
'attacca[dm]'`, and WKW of webKnossos `python -m pip install 'attacca[webknossos]'`.

{}

## Formats that have to be converted

{}

## Damaged files

A damaged file is refused with its name, or read with unchanged voxels; or the output of `attacca check` shows that it is
not the original: another shape, type or voxel size, or a warning about bytes that no header describes. The exception are
voxels that the format stores without a checksum, such as uncompressed TIFF, MRC and Zarr 2: no program can notice a changed
byte in them. Formats with checksums are PNG, Zarr 3 with `crc32c`, HDF5 with `fletcher32`, zip files, and everything that is
compressed with gzip or zlib. `benchmarks/fuzz.py` damages files of all variants, as many as one
likes; `benchmarks/fuzz.txt` has the outcomes of 3,352 files.
"""
