"""Formats that are not read are refused at once, with the program that converts them."""

import pytest

from attacca.config.volumes import ArraySource
from attacca.errors import VolumeError
from attacca.volumes import open_source


def refused(path, **source):
    with pytest.raises(VolumeError) as caught:
        open_source(ArraySource(path=path, **source))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.ims", ["Imaris", "bioformats2raw"]),
        ("a.czi", ["Zeiss", "bioformats2raw"]), ("a.lif", ["Leica"]), ("a.zvi", ["Zeiss"]), ("a.nii.gz", ["NIfTI", "nibabel"]),
        ("a.nii", ["NIfTI"]), ("a.nrrd", ["NRRD", "pynrrd"]), ("a.mhd", ["MetaImage", "SimpleITK"]), ("a.npy", ["NumPy", "h5py"]),
        ("x0.wkw", ["webKnossos", "header.wkw"]), ("knossos.conf", ["KNOSSOS"]), ("a.ilp", ["ilastik"]),
        ("a.mp4", ["video", "ffmpeg"]), ("a.xyz", ["unknown format", "HDF5", "MRC"]),
    ],
)  # fmt: skip
def test_a_file_of_another_program_is_refused_with_a_converter(tmp_path, name, expected):
    (tmp_path / name).write_bytes(b"content")
    message = refused(tmp_path / name)
    for part in expected:
        assert part in message


def test_directories_of_knossos_are_recognized(tmp_path):
    (tmp_path / "kn").mkdir()
    (tmp_path / "kn" / "mag1.knossos.conf").write_text("")
    assert "KNOSSOS" in refused(tmp_path / "kn")


def test_axes_are_for_hdf5_and_mrc_only(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    assert "neither HDF5 nor MRC" in refused(tmp_path / "a.tif", axes="xyz")
