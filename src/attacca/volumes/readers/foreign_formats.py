"""Formats of the field that Attacca does not read, and the programs that convert them."""

from pathlib import Path

_BIO_FORMATS = "bioformats2raw FILE volume.zarr (or Fiji, File > Save As > Tiff)"

CONVERTERS = {
    ".ims": ("Imaris", _BIO_FORMATS),
    ".czi": ("Zeiss", _BIO_FORMATS),
    ".zvi": ("Zeiss", _BIO_FORMATS),
    ".lif": ("Leica", _BIO_FORMATS),
    ".lsm": ("Zeiss", "Fiji (File > Save As > Tiff)"),
    ".nd2": ("Nikon", _BIO_FORMATS),
    ".oib": ("Olympus", _BIO_FORMATS),
    ".oif": ("Olympus", _BIO_FORMATS),
    ".vsi": ("Olympus", _BIO_FORMATS),
    ".emd": ("electron microscopy data set", "rosettasciio in Python, or Fiji (File > Save As > Tiff)"),
    ".ser": ("FEI", "Fiji (File > Save As > Tiff)"),
    ".nii": ("NIfTI", "nibabel in Python, or Fiji (File > Save As > Tiff)"),
    ".nii.gz": ("NIfTI", "nibabel in Python, or Fiji (File > Save As > Tiff)"),
    ".nrrd": ("NRRD", "pynrrd in Python, or Fiji (File > Save As > Tiff)"),
    ".nhdr": ("NRRD", "pynrrd in Python, or Fiji (File > Save As > Tiff)"),
    ".mha": ("MetaImage", "SimpleITK in Python, or Fiji (File > Save As > Tiff)"),
    ".mhd": ("MetaImage", "SimpleITK in Python, or Fiji (File > Save As > Tiff)"),
    ".am": ("Amira", "Fiji (File > Save As > Tiff)"),
    ".npy": ("NumPy", "h5py in Python: h5py.File('volume.h5', 'w')['raw'] = numpy.load(FILE)"),
    ".npz": ("NumPy", "h5py in Python: h5py.File('volume.h5', 'w')['raw'] = numpy.load(FILE)[NAME]"),
    ".knossos": ("KNOSSOS", "webknossos convert-knossos (package webknossos)"),
    ".vsvi": ("VAST", "VAST (File > Export image stack)"),
    ".vss": ("VAST", "VAST (File > Export segmentation)"),
    ".klb": ("Keller Lab Block", "pyklb in Python, or Fiji (File > Save As > Tiff)"),
    ".raw": ("numbers without a header", "numpy.fromfile and h5py in Python, with its shape and type"),
    ".avi": ("video", "Fiji (File > Save As > Image Sequence)"),
    ".mp4": ("video", "ffmpeg -i FILE raw/%05d.png"),
    ".ilp": ("a project of ilastik", "ilastik (Export: HDF5)"),
}
"""Name and converter of each format, by suffix."""

_BEGINNINGS = (
    (b"version https://git-lfs", "a pointer of Git LFS, not the data (git lfs pull)"),
    (b"/annex/objects", "a pointer of git-annex, not the data (git annex get)"),
    (b"MATLAB 5.0", "MATLAB's older format (save it in MATLAB with -v7.3)"),
    (b"\x1f\x8b", "a file compressed with gzip (gunzip it)"),
    (b"PK\x03\x04", "a ZIP archive (unzip it)"),
    (b"7z\xbc\xaf", "a 7z archive (unpack it)"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"\x89PNG", "a PNG"),
    (b"<!DOCTYPE", "an HTML page, probably the error page of a server"),
    (b"<html", "an HTML page, probably the error page of a server"),
    (b"<?xml", "an XML file"),
    (b"\x0e\x03\x13\x01", "HDF4 (h4toh5 converts it)"),
)


def describe_content(path: Path) -> str:
    """Return the kind of a file that is not what its name says, from its first bytes; empty if it is unknown.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(b"version https://git-lfs.github.com/spec/v1")
    ...     file.flush()
    ...     describe_content(Path(file.name))
    'a pointer of Git LFS, not the data (git lfs pull)'
    """
    with path.open("rb") as file:
        beginning = file.read(64)
    if not beginning:
        return "an empty file"
    if not any(beginning):
        return "a file that begins with zeros, probably a partial download"
    return next((text for mark, text in _BEGINNINGS if beginning.startswith(mark)), "")


def describe_conversion(path: Path) -> tuple[str, str] | None:
    """Return the format of a file that is not read, and the program that converts it; None if it is unknown.

    >>> describe_conversion(Path("cell.czi"))[0]
    'Zeiss'
    """
    name = path.name.lower()
    suffix = ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
    if name.endswith("knossos.conf") or (path.is_dir() and any(path.glob("*knossos.conf"))):
        return CONVERTERS[".knossos"]
    return CONVERTERS.get(suffix)
