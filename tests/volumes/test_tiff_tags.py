"""TIFF pages with the tags of earlier ones are read as tifffile reads them."""

import numpy as np
import pytest
import tifffile

from attacca.config.volumes import ArraySource
from attacca.errors import VolumeError
from attacca.volumes import open_source
from attacca.volumes.readers import tiff_pages
from attacca.volumes.readers.tiff_pages import open_tiff, read_tiff_pages, recall_tiff_pages
from attacca.volumes.readers.tiff_tags import read_page_tags

RAW = np.random.default_rng(0).integers(0, 255, (5, 40, 30), dtype=np.uint8)

VARIANTS = {
    "plain": {"photometric": "minisblack"},
    "strips": {"photometric": "minisblack", "rowsperstrip": 7},
    "compressed": {"photometric": "minisblack", "rowsperstrip": 7, "compression": "zlib"},
    "tiles": {"photometric": "minisblack", "tile": (16, 16), "compression": "lzw"},
    "inverted": {"photometric": "miniswhite"},
    "big": {"photometric": "minisblack", "bigtiff": True},
    "big endian": {"photometric": "minisblack", "byteorder": ">"},
    "dated": {"photometric": "minisblack", "datetime": True},
    "described": {"photometric": "minisblack", "description": "x" * 300},
    "resolution": {"photometric": "minisblack", "resolution": (1e6, 1e6), "resolutionunit": "CENTIMETER"},
}


@pytest.fixture
def count_interpreted(monkeypatch):
    """Return a function that returns how many pages tifffile has interpreted."""
    counts = []
    read = tiff_pages._read_layout
    monkeypatch.setattr(tiff_pages, "_read_layout", lambda *given: counts.append(1) or read(*given))
    return lambda: len(counts)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_tags_of_a_page_are_those_that_tifffile_reads(tmp_path, variant):
    paths = [tmp_path / f"{index}.tif" for index in range(2)]
    for path, image in zip(paths, RAW):
        tifffile.imwrite(path, image, **VARIANTS[variant])
    with open_tiff(paths[0]) as file:
        page = file.pages[0]
        (tags,) = read_page_tags(paths[0])
        assert (tags.offsets, tags.counts) == (tuple(page.dataoffsets), tuple(page.databytecounts))
        assert tags.end == tiff_pages._find_end(page, file.is_bigtiff, paths[0].stat().st_size)
        interpreted = read_tiff_pages(paths[0], file)
    assert interpreted.key == (tags.key,)
    known = {interpreted.key: interpreted.layouts}
    assert recall_tiff_pages(paths[0], known)[:3] == interpreted[:3]
    with open_tiff(paths[1]) as file:
        assert recall_tiff_pages(paths[1], known)[:3] == read_tiff_pages(paths[1], file)[:3]


def test_equal_pages_are_interpreted_once_and_other_ones_each(tmp_path, count_interpreted):
    directory = tmp_path / "sections"
    directory.mkdir()
    for index, image in enumerate(RAW):
        tifffile.imwrite(directory / f"s{index}.tif", image, photometric="minisblack", compression="zlib")
    source = open_source(ArraySource(path=directory))
    assert count_interpreted() == 1
    np.testing.assert_array_equal(source.read((0, 0, 0), RAW.shape), RAW)
    tifffile.imwrite(directory / "s3.tif", 255 - RAW[3], photometric="miniswhite", compression="zlib")
    source = open_source(ArraySource(path=directory))
    assert count_interpreted() == 3
    assert any("MINISWHITE" in warning for warning in source.warnings)
    np.testing.assert_array_equal(source.read((0, 0, 0), RAW.shape), RAW)


def test_equal_pages_of_one_file_are_interpreted_once(tmp_path, count_interpreted):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in RAW:
            writer.write(image, photometric="minisblack", compression="zlib", metadata=None)
    source = open_source(ArraySource(path=tmp_path / "a.tif"))
    assert count_interpreted() == 1
    np.testing.assert_array_equal(source.read((0, 0, 0), RAW.shape), RAW)


def test_files_with_fewer_pages_than_equal_ones_are_refused(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", RAW[:3], imagej=True)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        first = file.pages[0]
        following = file.pages[1].offset
    content = bytearray((tmp_path / "b.tif").read_bytes())
    place = content.index(following.to_bytes(4, "little"), first.offset)
    content[place : place + 4] = bytes(4)
    (tmp_path / "b.tif").write_bytes(content)
    with pytest.raises(VolumeError, match=r"b\.tif describes 3 sections, but has 1 page;"):
        open_source(ArraySource(path=tmp_path))


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"photometric": "minisblack", "bigtiff": True}])
def test_values_of_tags_that_tifffile_writes_twice_are_not_unused(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", RAW, **options)
    assert open_source(ArraySource(path=tmp_path / "a.tif")).warnings == ()
    with open(tmp_path / "a.tif", "ab") as file:
        file.write(bytes(3))
    assert "more than its headers describe" in str(open_source(ArraySource(path=tmp_path / "a.tif")).warnings)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_truncated_section_after_equal_ones_is_named(tmp_path, compression):
    for index, image in enumerate(RAW):
        tifffile.imwrite(tmp_path / f"s{index}.tif", image, photometric="minisblack", compression=compression)
    path = tmp_path / "s4.tif"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(VolumeError, match=r"s4\.tif is truncated"):
        open_source(ArraySource(path=tmp_path))


@pytest.mark.parametrize("content", [b"", b"II", b"II*\0\xff\xff\xff\x7f", b"II*\0\x08\0\0\0\0\0\0\0\0\0"])
def test_files_without_readable_tags_are_left_to_tifffile(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    assert read_page_tags(tmp_path / "a.tif") == []


def test_a_circle_of_pages_ends(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAW[0], photometric="minisblack", metadata=None)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    first = int.from_bytes(content[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(content[first : first + 2], "little")
    content[end : end + 4] = content[4:8]
    (tmp_path / "a.tif").write_bytes(content)
    assert read_page_tags(tmp_path / "a.tif") == []
