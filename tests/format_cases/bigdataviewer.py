"""XML files of BigDataViewer with images in HDF5 or N5."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from format_cases.case import WIDE, FormatCase
from format_cases.containers import write_n5

_BDV = "BigDataViewer"
CALIBRATION = "4 0 0 0  0 4 0 0  0 0 40 0"
"""Transformation that scales voxels to nanometers, row by row, x first."""


def describe_images(
    loader: str,
    setups: int = 1,
    shape: tuple[int, ...] = WIDE.shape,
    transforms: tuple[str, ...] = (CALIBRATION,),
    **options: str,
) -> str:
    """Return an XML file; options are ``unit``, ``size`` (of a voxel), ``times`` and ``head``."""
    times = options.get("times", '<Timepoints type="range"><first>0</first><last>0</last></Timepoints>')
    size = f"<unit>{options.get('unit', 'nm')}</unit><size>{options.get('size', '4.0 4.0 40.0')}</size>"
    views = "".join(
        f"<ViewSetup><id>{number}</id><name>channel {number + 1}</name><size>{' '.join(map(str, shape[::-1]))}</size>"
        f"<voxelSize>{size}</voxelSize></ViewSetup>"
        for number in range(setups)
    )
    matrices = "".join(
        f'<ViewTransform type="affine"><Name>t</Name><affine>{text}</affine></ViewTransform>'
        for text in transforms
    )
    registrations = "".join(
        f'<ViewRegistration timepoint="0" setup="{number}">{matrices}</ViewRegistration>'
        for number in range(setups)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n{options.get("head", "")}<SpimData version="0.2">'
        f'<BasePath type="relative">.</BasePath><SequenceDescription>{loader}<ViewSetups>{views}</ViewSetups>{times}'
        f"</SequenceDescription><ViewRegistrations>{registrations}</ViewRegistrations></SpimData>\n"
    )


HDF5 = '<ImageLoader format="bdv.hdf5"><hdf5 type="relative">a.h5</hdf5></ImageLoader>'
N5 = '<ImageLoader format="bdv.n5" version="1.0"><n5 type="relative">a.n5</n5></ImageLoader>'


def bdv_hdf5(
    setups: int = 1, dataset: str | None = None, data: np.ndarray = WIDE, **options: Any
) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes an XML file and an HDF5 file, whose values are stored in a signed type."""

    def write(directory: Path) -> dict[str, Any]:
        (directory / "a.xml").write_text(describe_images(HDF5, setups, data.shape, **options))
        with h5py.File(directory / "a.h5", "w") as file:
            for number in range(setups):
                cells = file.create_dataset(
                    f"t00000/s{number:02}/0/cells",
                    data=(data + number).view("i2"),
                    chunks=(3, 8, 8),
                    compression="gzip",
                )
                assert cells.dtype == "i2"
                file[f"s{number:02}/resolutions"] = [[1.0, 1.0, 1.0]]
        return {"path": "a.xml", **({"dataset": dataset} if dataset else {})}

    return write


def bdv_n5(**options: Any) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes an XML file and an N5 container."""

    def write(directory: Path) -> dict[str, Any]:
        (directory / "a.xml").write_text(describe_images(N5, **options))
        write_n5(WIDE, {"type": "gzip"}, gzip.compress, name="setup0/timepoint0/s0")(directory)
        return {"path": "a.xml"}

    return write


_SIZE = ((40.0, 4.0, 4.0), "nanometer")
_TURNED = "0 -4 0 0  4 0 0 0  0 0 40 0"

CASES = [
    FormatCase(_BDV, "XML and HDF5", "h5py", bdv_hdf5(), WIDE, voxel_size=_SIZE),
    FormatCase(_BDV, "XML and N5", "tensorstore", bdv_n5(), WIDE, voxel_size=_SIZE),
    FormatCase(_BDV, "one of several view setups", "h5py", bdv_hdf5(2, "t00000/s01"), WIDE + 1, voxel_size=_SIZE, reason="'dataset' names it"),
    FormatCase(_BDV, "a rotation", "", bdv_hdf5(transforms=(_TURNED,)), refused="rotates, shears or mirrors",
        reason="the fused image has to be saved"),
]  # fmt: skip
