"""Image files as laboratories have them: read with the values that their owner means, or refused."""

import os
import socket
import struct
import subprocess
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from attacca.config.volumes import ArraySource, LabelArraySource
from attacca.errors import VolumeError
from attacca.volumes import open_source
from attacca.volumes.readers.open_source import list_files

RAW = np.random.default_rng(0).integers(0, 255, (6, 14, 10), dtype=np.uint8)
GRAY = "minisblack"


def read(path, kind="raw", **keys):
    model = LabelArraySource if "labels" in kind else ArraySource
    source = open_source(model(path=path, **keys), kind)
    return source, source.read((0,) * source.dims, source.spatial_shape)


def refusal(path, kind="raw", **keys):
    with pytest.raises(VolumeError) as caught:
        read(path, kind, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_pngs(directory, images, name="s{}.png"):
    directory.mkdir()
    for index, image in enumerate(images):
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(directory / name.format(index))
    return directory


def palette_image(indices, colors):
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette(np.asarray(colors, np.uint8).tobytes())
    return image


def png(header, pixels, *chunks):
    """Return a PNG file of chunks."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", *header)), *(chunk(*part) for part in chunks)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [*parts, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")]
    )


def test_all_pages_of_a_directory_of_slabs_are_read(tmp_path):
    for z in (0, 2, 4):
        tifffile.imwrite(tmp_path / f"slab_{z:03}.tif", RAW[z : z + 2], photometric=GRAY)
    source, data = read(tmp_path)
    assert np.array_equal(data, RAW) and "3 files hold 6 sections" in source.warnings[0]


def test_series_that_were_appended_are_one_stack(tmp_path):
    for name, step in (("slabs.tif", 2), ("sections.tif", 1)):
        with tifffile.TiffWriter(tmp_path / name) as file:
            for z in range(0, 6, step):
                file.write(RAW[z : z + step].squeeze(), photometric=GRAY)
        assert np.array_equal(read(tmp_path / name)[1], RAW)
    with tifffile.TiffWriter(tmp_path / "uneven.tif") as file:
        file.write(RAW[:4], photometric=GRAY)
        file.write(RAW[4:], photometric=GRAY, compression="zlib")
    assert np.array_equal(read(tmp_path / "uneven.tif")[1], RAW)


@pytest.mark.parametrize(
    ("other", "options"),
    [
        pytest.param(RAW[0, :5, :5], {}, id="another size"),
        pytest.param(RAW[0].astype(np.uint16), {}, id="another type"),
        pytest.param(np.stack([RAW[0]] * 3, -1), {"photometric": "rgb"}, id="color"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_pages_of_several_kinds_are_refused_with_their_numbers(tmp_path, other, options, is_first):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        if is_first:
            file.write(other, **{"photometric": GRAY, **options})
        file.write(RAW, photometric=GRAY)
        if not is_first:
            file.write(other, **{"photometric": GRAY, **options})
    message = refusal(tmp_path / "a.tif")
    assert ("page 2 to 7" in message and "page 1:" in message) if is_first else "page 7:" in message


def test_thumbnails_and_pyramids_are_ignored_with_a_warning(tmp_path):
    with tifffile.TiffWriter(tmp_path / "thumbnail.tif") as file:
        file.write(RAW[0, ::2, ::2], photometric=GRAY, subfiletype=1)
        file.write(RAW, photometric=GRAY)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        for plane in RAW:
            file.write(plane, photometric=GRAY, subifds=1)
            file.write(plane[::2, ::2], photometric=GRAY, subfiletype=1)
    for name in ("thumbnail.tif", "pyramid.tif"):
        source, data = read(tmp_path / name)
        assert np.array_equal(data, RAW) and "ignored" in source.warnings[0]


def test_volumetric_tiles_and_planar_color_are_read(tmp_path):
    volume = np.random.default_rng(1).integers(0, 255, (16, 32, 32), dtype=np.uint8)
    for name, compression in (("plain.tif", None), ("zlib.tif", "zlib")):
        tifffile.imwrite(
            tmp_path / name,
            volume,
            tile=(16, 16, 16),
            photometric=GRAY,
            volumetric=True,
            compression=compression,
        )
        assert np.array_equal(read(tmp_path / name)[1], volume)
    color = np.moveaxis(np.stack([RAW, 255 - RAW, RAW // 2]), 0, 1)
    tifffile.imwrite(
        tmp_path / "planar.tif", color, photometric="rgb", planarconfig="separate", compression="zlib"
    )
    source, data = read(tmp_path / "planar.tif")
    assert source.axes == ["c", "z", "y", "x"] and np.array_equal(data, np.moveaxis(color, 1, 0))


def test_ome_tiffs_are_read_in_the_order_of_their_axes_and_refused_if_planes_are_missing(tmp_path):
    data = np.arange(2 * 3 * 8 * 8, dtype=np.uint16).reshape(2, 3, 8, 8)
    for axes, compression in (("ZCYX", None), ("CZYX", "zlib"), ("ZCYX", "zlib")):
        tifffile.imwrite(
            tmp_path / "a.ome.tif", data, metadata={"axes": axes}, photometric=GRAY, compression=compression
        )
        expected = data if axes == "CZYX" else np.moveaxis(data, 1, 0)
        assert np.array_equal(read(tmp_path / "a.ome.tif")[1], expected)
    text = tifffile.TiffFile(tmp_path / "a.ome.tif").ome_metadata
    tifffile.imwrite(tmp_path / "cut.ome.tif", data[0], description=text, photometric=GRAY, metadata=None)
    assert "promises" in refusal(tmp_path / "cut.ome.tif")
    with tifffile.TiffWriter(tmp_path / "two.ome.tif") as file:
        file.write(RAW, photometric=GRAY, metadata={"axes": "ZYX"})
        file.write(RAW, photometric=GRAY, metadata={"axes": "ZYX"})
    assert "holds 2 images" in refusal(tmp_path / "two.ome.tif")
    multi = tmp_path / "multi"
    multi.mkdir()
    tifffile.imwrite(multi / "s0.ome.tif", data, metadata={"axes": "ZCYX"}, photometric=GRAY)
    assert "points along C" in refusal(multi)


def test_imagej_hyperstacks_are_read_and_refused_if_frames_are_missing(tmp_path):
    data = np.arange(3 * 2 * 8 * 8, dtype=np.uint16).reshape(3, 2, 8, 8)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "ZCYX"})
    assert np.array_equal(read(tmp_path / "a.tif")[1], np.moveaxis(data, 1, 0))
    for images in (9, 2):
        description = f"ImageJ=1.53t\nimages={images}\nslices={images}\n"
        tifffile.imwrite(
            tmp_path / "b.tif",
            RAW,
            description=description,
            metadata=None,
            photometric=GRAY,
            compression="zlib",
        )
        message = refusal(tmp_path / "b.tif")
        assert "b.tif" in message


@pytest.mark.parametrize("is_mixed", [False, True])
@pytest.mark.parametrize("order", [np.arange(255, -1, -1), np.random.default_rng(0).permutation(256)])
def test_palettes_of_gray_values_are_applied(tmp_path, order, is_mixed):
    place = np.argsort(order).astype(np.uint8)
    images = [palette_image(place[plane], np.repeat(order, 3)) for plane in RAW]
    images[2] = RAW[2] if is_mixed else images[2]
    assert np.array_equal(read(write_pngs(tmp_path / "raw", images))[1], RAW)
    colormap = np.stack([order * 257] * 3).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", place[RAW], photometric="palette", colormap=colormap)
    assert np.array_equal(read(tmp_path / "a.tif")[1], RAW)


def test_palettes_of_colors_are_refused_for_images_and_differing_ones_for_labels(tmp_path):
    colors = np.random.default_rng(0).integers(0, 255, (2, 256, 3))
    images = [palette_image(plane, colors[0]) for plane in RAW]
    path = write_pngs(tmp_path / "labels", images)
    assert "palette of colors" in refusal(path)
    assert np.array_equal(read(path, "labels")[1], RAW)
    palette_image(RAW[1], colors[1]).save(path / "s1.png")
    assert "s1.png has another palette than" in refusal(path, "labels")


def test_inverted_values_are_inverted_and_refused_for_labels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", 255 - RAW, photometric="miniswhite")
    source, data = read(tmp_path / "a.tif")
    assert np.array_equal(data, RAW) and "inverted" in source.warnings[0]
    assert "MINISWHITE" in refusal(tmp_path / "a.tif", "labels")


def test_equal_opacities_are_dropped_and_others_refused(tmp_path):
    for mode, count in (("LA", 1), ("RGBA", 3)):
        alpha = np.full((*RAW.shape, 1), 255, np.uint8)
        images = np.concatenate([np.stack([RAW] * count, -1), alpha], -1)
        path = write_pngs(tmp_path / mode, [Image.fromarray(image, mode) for image in images])
        source, data = read(path)
        assert np.array_equal(data, RAW) and "alpha" in " ".join(source.warnings)
        images[0, 0, 0, -1] = 9
        Image.fromarray(images[0], mode).save(path / "s0.png")
        assert "opacities from 9 to 255" in refusal(path)


def test_gray_values_saved_as_color_are_gray_values(tmp_path):
    path = write_pngs(tmp_path / "raw", np.stack([RAW] * 3, -1))
    source, data = read(path)
    assert source.axes == ["z", "y", "x"] and np.array_equal(data, RAW)
    Image.fromarray(np.stack([RAW[3], RAW[4], RAW[5]], -1)).save(path / "s3.png")
    assert "s3.png has colors" in refusal(path)


def test_color_of_sixteen_bits_keeps_its_bits(tmp_path):
    color = np.random.default_rng(0).integers(0, 2**16, (9, 8, 3), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(color))
    source, data = read(tmp_path / "a.png", channel=1)
    assert source.dtype == np.uint16 and np.array_equal(data, np.moveaxis(color, -1, 0))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_per_pixel_are_the_stored_values(tmp_path, bits):
    values = np.arange(16, dtype=np.uint8).reshape(2, 8) % 2**bits
    rows = np.packbits(np.unpackbits(values[..., None], axis=-1)[..., -bits:].reshape(2, -1), axis=-1)
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    (tmp_path / "a.png").write_bytes(png((8, 2, bits, 0, 0, 0, 0), pixels))
    source, data = read(tmp_path / "a.png")
    assert np.array_equal(data, values) and f"{bits} bits" in source.warnings[0]
    assert np.array_equal(read(tmp_path / "a.png", "labels")[1], values)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "f2", "f4", "f8", ">u2"])
def test_types_of_tiff_are_kept(tmp_path, dtype):
    data = RAW.astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric=GRAY, byteorder=">" if ">" in dtype else "<")
    source, found = read(tmp_path / "a.tif")
    assert source.dtype == np.dtype(dtype).newbyteorder("=") and np.array_equal(found, data)


@pytest.mark.parametrize("bits", [1, 12])
def test_packed_bits_of_tiff_are_unpacked(tmp_path, bits):
    data = RAW % 2 if bits == 1 else RAW.astype(np.uint16) * 16
    stored = data.astype(bool) if bits == 1 else data
    options = {} if bits == 1 else {"bitspersample": 12}
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=GRAY, **options)
    assert np.array_equal(read(tmp_path / "a.tif")[1], data)


def test_other_color_spaces_are_refused(tmp_path):
    cmyk = np.zeros((8, 8, 4), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", cmyk, photometric="separated")
    Image.fromarray(cmyk, "CMYK").save(tmp_path / "a.jpg")
    assert "SEPARATED" in refusal(tmp_path / "a.tif") and "CMYK" in refusal(tmp_path / "a.jpg")


def test_ids_stored_as_colors_need_an_encoding(tmp_path):
    ids = RAW.astype(np.uint32) * 300
    planes = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], -1).astype(np.uint8)
    path = write_pngs(tmp_path / "labels", planes)
    assert "encoding: rgb" in refusal(path, "labels")
    source, data = read(path, "labels", encoding="rgb")
    assert source.dtype == np.uint32 and np.array_equal(data, ids)
    assert "encoding: rgb" in read(path, "labels", channel=0)[0].warnings[0]
    opaque = np.concatenate([planes, np.full((*RAW.shape, 1), 255, np.uint8)], -1)
    assert np.array_equal(read(write_pngs(tmp_path / "alpha", opaque), "labels", encoding="rgb")[1], ids)
    gray = write_pngs(tmp_path / "gray", RAW)
    assert "remove 'encoding'" in refusal(gray, "labels", encoding="rgb")
    assert "uses all channels" in refusal(path, "labels", encoding="rgb", channel=0)


def test_whole_numbers_of_imagej_are_ids_and_others_refused(tmp_path, caplog):
    ids = (RAW.astype(np.uint32) + 70000).astype(np.float32)
    tifffile.imwrite(tmp_path / "labels.tif", ids, imagej=True)
    source, data = read(tmp_path / "labels.tif", "labels")
    assert source.dtype == np.uint32 and np.array_equal(data, ids) and not caplog.messages
    tifffile.imwrite(tmp_path / "large.tif", ids + 2**24, imagej=True)
    read(tmp_path / "large.tif", "labels")
    assert len(caplog.messages) == 1
    for value in (np.nan, np.inf, 0.5, -1, 2.0**32):
        ids[1, 2, 3] = value
        tifffile.imwrite(tmp_path / "labels.tif", ids, imagej=True)
        assert "floating-point number" in refusal(tmp_path / "labels.tif", "labels")


def test_labels_compressed_with_jpeg_are_refused(tmp_path):
    Image.fromarray(RAW[0]).save(tmp_path / "a.jpg")
    Image.fromarray(RAW[0]).save(tmp_path / "a.bmp")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16), np.uint8), compression="jpeg", photometric=GRAY)
    for name in ("a.jpg", "a.tif"):
        assert "JPEG, which changes values" in refusal(tmp_path / name, "labels")
        assert read(tmp_path / name)[0].dims == 2
    assert np.array_equal(read(tmp_path / "a.bmp", "labels")[1], RAW[0])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["z10", "z2", "z1"], ["z1", "z2", "z10"], id="natural"),
        pytest.param(["z-2", "z-10", "z0", "z3"], ["z-10", "z-2", "z0", "z3"], id="negative"),
        pytest.param(["z1", "z-1", "z0", "z-2"], ["z-2", "z-1", "z0", "z1"], id="both signs"),
        pytest.param(["s-2", "s-10", "s-1"], ["s-1", "s-2", "s-10"], id="hyphens"),
        pytest.param(["-1", "-3", "2"], ["-3", "-1", "2"], id="only numbers"),
        pytest.param(["2024-01-02", "2024-01-10"], ["2024-01-02", "2024-01-10"], id="dates"),
        pytest.param(
            ["a2\u00b2", "a1\u00b2", "\u00b2"], ["a1\u00b2", "a2\u00b2", "\u00b2"], id="superscripts"
        ),
    ],
)
def test_sections_are_in_the_order_of_their_numbers(tmp_path, names, expected):
    for index, name in enumerate(expected):
        Image.fromarray(RAW[index]).save(tmp_path / f"{name}.png")
    assert sorted(names) == sorted(expected)
    assert [path.stem for path in list_files(ArraySource(path=tmp_path))] == expected
    assert np.array_equal(read(tmp_path)[1], RAW[: len(names)])


@pytest.mark.parametrize(
    "names", [("s1.png", "s01.png"), ("raw_1.png", "raw_2.png", "label_1.png"), ("a1.PNG", "A1.png")]
)
def test_repeated_section_numbers_are_refused(tmp_path, names):
    for name in names:
        Image.fromarray(RAW[0]).save(tmp_path / name)
    assert "two files of the same section number" in refusal(tmp_path)


def test_hidden_files_do_not_count_and_suffixes_may_be_capitals(tmp_path):
    for index, name in enumerate(("s0.tif", "s1.TIF", "s2.tiff")):
        tifffile.imwrite(tmp_path / name, RAW[index])
    for name in ("._s0.tif", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"no image")
    assert np.array_equal(read(tmp_path)[1], RAW[:3])


@pytest.mark.parametrize("use_pattern", [False, True])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(
            lambda path: path.symlink_to("nothing"), "link to a file that does not exist", id="link"
        ),
        pytest.param(os.mkfifo, "a pipe, socket or device", id="pipe"),
        pytest.param(lambda path: path.mkdir(), "a directory", id="directory"),
    ],
)
def test_a_section_that_is_not_a_file_is_named(tmp_path, make, expected, use_pattern):
    write_pngs(tmp_path / "raw", RAW)
    make(tmp_path / "raw" / "s6.png")
    message = refusal(tmp_path / "raw" / "*.png" if use_pattern else tmp_path / "raw")
    assert expected in message and "s6.png" in message


def test_a_pipe_and_a_socket_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a.tif")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("b.h5")
        for name in ("a.tif", "b.h5"):
            assert "a pipe, socket or device" in refusal(tmp_path / name)


def test_a_directory_without_permission_is_named(tmp_path):
    directories = [tmp_path / f"raw-{mode:o}" for mode in (0o000, 0o600, 0o300)]
    for directory in directories:
        write_pngs(directory, RAW)
    code = (
        "import sys\nfrom attacca.config.volumes import ArraySource\nfrom attacca.errors import VolumeError\n"
        "from attacca.volumes.readers.open_source import list_files, open_source\n"
        "for path in sys.argv[1:]:\n"
        "    for work in (open_source, list_files):\n"
        "        try: work(ArraySource(path=path))\n"
        "        except VolumeError as error: print(error)\n"
    )
    command = [sys.executable, "-c", code, *map(str, directories)]
    if os.geteuid() == 0:
        dropped = "-dac_override,-dac_read_search"
        command = ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped, *command]
    for directory, mode in zip(directories, (0o000, 0o600, 0o300)):
        directory.chmod(mode)
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    finally:
        for directory in directories:
            directory.chmod(0o700)
    assert len(lines) == 6 and all("permission denied" in line for line in lines)
    assert all(str(directory) in line for directory, line in zip(np.repeat(directories, 2), lines))


@pytest.mark.parametrize("name", ["cube[1-8]", "cube{1}", "all*", "what?", "a b'$HOME&"])
def test_marks_of_patterns_in_existing_names_are_literal(tmp_path, name):
    write_pngs(tmp_path / name, RAW)
    write_pngs(tmp_path / "cube1", RAW[:2])
    for path in (tmp_path / name, tmp_path / name / "*.png", tmp_path / name / "s[0-9].png"):
        assert np.array_equal(read(path)[1], RAW)
    (tmp_path / name / "s0.png").rename(tmp_path / name / "s[0].png")
    assert np.array_equal(read(tmp_path / name / "s[0].png")[1], RAW[0])


def test_the_limit_of_pillow_is_lifted(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    images = {
        "a.bmp": Image.fromarray(RAW[0]), "b.jpg": Image.fromarray(RAW[0]), "c.png": Image.fromarray(RAW[0]),
        "d.png": palette_image(RAW[0], np.repeat(np.arange(256), 3)),
    }  # fmt: skip
    for name, image in images.items():
        image.save(tmp_path / name)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
        data = read(tmp_path / name)[1]
        assert data.shape == RAW[0].shape and (name == "b.jpg" or np.array_equal(data, RAW[0]))


def test_a_header_above_179_megapixels_is_read(tmp_path):
    row = zlib.compressobj(1)
    pixels = b"".join([*(row.compress(bytes(13001)) for _ in range(14000)), row.flush()])
    content = png((13000, 14000, 8, 0, 0, 0, 0), b"")
    content = content.replace(zlib.compress(b""), pixels).replace(
        struct.pack(">I", 8) + b"IDAT", struct.pack(">I", len(pixels)) + b"IDAT"
    )
    (tmp_path / "a.png").write_bytes(content)
    assert open_source(ArraySource(path=tmp_path / "a.png")).shape == (14000, 13000)


def test_a_size_that_the_file_cannot_hold_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png((2**20, 2**20, 8, 0, 0, 0, 0), bytes(100)))
    tifffile.imwrite(tmp_path / "a.tif", RAW[0], compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(2**20)
    for name in ("a.png", "a.tif"):
        assert "truncated or damaged" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "p.png", "a.bmp", "a.jpg", "a.tif", "z.tif", "l.tif"])
def test_damaged_files_are_refused_or_read_unchanged(tmp_path, name):
    """JPEG and uncompressed formats do not detect all changes of pixels, but each cut is detected."""
    path = tmp_path / name
    if name == "p.png":
        palette_image(RAW[0], np.repeat(np.arange(256), 3)).save(path)
    elif name.endswith(".tif"):
        tifffile.imwrite(path, RAW, photometric=GRAY, compression={"z": "zlib", "l": "lzw"}.get(name[0]))
    else:
        Image.fromarray(RAW[0]).save(path)
    content = path.read_bytes()
    expected = read(path)[1]
    random = np.random.default_rng(0)
    for length in [0, 1, 7, 30, *random.integers(0, len(content), 30).tolist(), len(content) - 1]:
        path.write_bytes(content[:length])
        try:
            assert np.array_equal(read(path)[1], expected)
        except VolumeError as error:
            assert name in str(error)
    for _ in range(100):
        damaged = bytearray(content)
        damaged[random.integers(0, len(content))] ^= 1 << random.integers(0, 8)
        path.write_bytes(damaged)
        try:
            data = read(path)[1]
        except VolumeError as error:
            assert name in str(error)
            continue
        if name.endswith(".png"):
            assert np.array_equal(data, expected)


def test_an_animation_is_refused(tmp_path):
    images = [Image.fromarray(plane) for plane in RAW]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:])
    assert "animation" in refusal(tmp_path / "a.png")


def test_missing_strips_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RAW[0], rowsperstrip=2, photometric=GRAY, compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        counts = list(file.pages[0].databytecounts)
        file.pages[0].tags["StripByteCounts"].overwrite([*counts[:3], 0, *counts[4:]])
    assert "strips or tiles are missing" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        pytest.param((1e7 / 4, 1e7 / 4), 3, (4.0, 4.0), id="centimeter"),
        pytest.param((25.4e6 / 8, 25.4e6 / 4), 2, (4.0, 8.0), id="inch"),
        pytest.param((72, 72), 2, None, id="screen"),
        pytest.param((1e7 / 4, 1e7 / 4), 1, None, id="without unit"),
        pytest.param((0, 0), 3, None, id="zero"),
    ],
)
def test_resolution_tags_count_if_they_are_lengths_of_micrographs(tmp_path, resolution, unit, expected):
    tifffile.imwrite(tmp_path / "a.tif", RAW[0], resolution=resolution, resolutionunit=unit, metadata=None)
    metadata = read(tmp_path / "a.tif")[0].metadata
    assert metadata.voxel_size == expected and metadata.unit == (expected and "nanometer")


def test_units_of_ome_differ_by_axis_and_nonsense_is_ignored(tmp_path):
    sizes = {"PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 4, "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 0.04, "PhysicalSizeZUnit": "µm", "axes": "ZYX"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", RAW, metadata=sizes, photometric=GRAY)
    metadata = read(tmp_path / "a.ome.tif")[0].metadata
    assert metadata.voxel_size == (40, 4, 4) and metadata.unit == "nanometer"
    for keys in ({"PhysicalSizeZ": 0}, {"PhysicalSizeXUnit": "pixel"}):
        tifffile.imwrite(tmp_path / "a.ome.tif", RAW, metadata=sizes | keys, photometric=GRAY)
        assert read(tmp_path / "a.ome.tif")[0].metadata.voxel_size is None
    for unit, spacing in (("pixel", 2), ("", 2), ("nm", -1), ("nm", None)):
        keys = {"unit": unit, "axes": "ZYX"} | ({} if spacing is None else {"spacing": spacing})
        tifffile.imwrite(tmp_path / "b.tif", RAW, imagej=True, resolution=(0.25, 0.25), metadata=keys)
        assert read(tmp_path / "b.tif")[0].metadata.voxel_size is None
