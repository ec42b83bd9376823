"""ZIP files from strangers: what is not a plain list of stored members is refused before it is read."""

import io
import zipfile
from pathlib import Path

import pytest

from attacca.archive import Archive, is_archive, open_archive, write_archive
from attacca.errors import MissingInputError, ModelFileError


def test_members_are_read_as_they_were_written_and_equal_members_give_equal_bytes(tmp_path: Path) -> None:
    members = {"model.json": b"{}", "weights/0.weight.npy": bytes(range(256))}
    write_archive(tmp_path / "first.zip", members)
    write_archive(tmp_path / "second.zip", members)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with open_archive(tmp_path / "first.zip") as archive:
        assert {name: archive.read(name, 256) for name in archive.sizes} == members
    assert is_archive(tmp_path / "first.zip", "model.json")
    assert not is_archive(tmp_path / "first.zip", "other.json")


def test_a_member_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "model.zip", {"model.json": bytes(100)})
    with open_archive(tmp_path / "model.zip") as archive:
        with pytest.raises(ModelFileError, match="of 100 bytes, expected at most 99"):
            archive.read("model.json", 99)
        with pytest.raises(ModelFileError, match="found no member other"):
            archive.read("other", 99)


def test_a_compressed_member_is_refused_so_that_a_small_file_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("model.json", bytes(10_000_000))
    assert path.stat().st_size < 20_000
    with (
        pytest.raises(ModelFileError, match=r"compressed or encrypted member 'model\.json'"),
        open_archive(path),
    ):
        pass


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model.json", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("model.json", b"two")
    with pytest.raises(ModelFileError, match="several members of one name"), open_archive(path):
        pass


def test_members_that_claim_more_bytes_than_the_file_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    write_archive(path, {"model.json": b"0123456789"})
    content = bytearray(path.read_bytes())
    directory = content.index(b"PK\x01\x02")
    for offset in (20, 24):
        content[directory + offset : directory + offset + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="larger than the file"), open_archive(path):
        pass


@pytest.mark.parametrize("position", [40, 60, 100])
def test_a_changed_byte_is_an_error(tmp_path: Path, position: int) -> None:
    path = tmp_path / "model.zip"
    write_archive(path, {"model.json": bytes(100)})
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelFileError), open_archive(path) as archive:
        archive.read("model.json", 1000)


def test_files_that_are_not_zip_files_are_refused_with_their_path(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("not a ZIP file")
    (tmp_path / "cut.zip").write_bytes(make_zip()[:-10])
    for name in ("text.zip", "cut.zip"):
        with pytest.raises(ModelFileError, match=name), open_archive(tmp_path / name):
            pass
        assert not is_archive(tmp_path / name, "model.json")
    with pytest.raises(MissingInputError, match="no such file"), open_archive(tmp_path / "missing.zip"):
        pass
    with pytest.raises(ModelFileError, match="found a directory"), open_archive(tmp_path):
        pass


def make_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("model.json", b"{}")
    return buffer.getvalue()


def test_a_name_never_becomes_a_path(tmp_path: Path) -> None:
    directory = tmp_path / "inner"
    directory.mkdir()
    path = directory / "model.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../outside", b"x")
        file.writestr("/absolute", b"y")
    with open_archive(path) as archive:
        assert isinstance(archive, Archive)
        assert archive.read("../outside", 1) == b"x"
    assert [item.name for item in tmp_path.rglob("*")] == ["inner", "model.zip"]
