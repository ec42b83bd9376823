"""Golden values of arrays and of the array source."""

from pathlib import Path
from typing import Any

import gunpowder as gp
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.gp import DaCapoArraySource

AXES = ["c", "z", "y", "x"]


def requested(array: Any, roi: Roi) -> np.ndarray:
    key = gp.ArrayKey("ARRAY")
    request = gp.BatchRequest()
    request[key] = gp.ArraySpec(roi=roi)
    with gp.build(DaCapoArraySource(array, key)) as source:
        return source.request_batch(request)[key].data


@pytest.mark.golden_case("array_source_and_numpy_array")
def test_arrays_and_the_array_source_are_those_of_the_reference(case: Any, tmp_path: Path) -> None:
    voxels = case.inputs["in_a"]
    offset, voxel_size = Coordinate(case.params["offset"]), Coordinate(case.params["voxel_size"])
    roi = Roi(offset, Coordinate(voxels.shape) * voxel_size)
    two = np.stack([voxels, voxels + 1])
    plain = NumpyArray.from_np_array(voxels, roi, voxel_size, AXES[1:])
    channels = NumpyArray.from_np_array(two, roi, voxel_size, AXES)
    interior = Roi(offset + voxel_size * 2, voxel_size * Coordinate((2, 3, 3)))
    case.compare("out_no_channel", requested(plain, interior))
    case.compare("out_channels", requested(channels, interior))
    broken = voxels.copy()
    broken[2, 3, 4] = np.nan
    array = NumpyArray.from_np_array(broken, roi, voxel_size, AXES[1:])
    case.compare_error("nan", lambda: requested(array, interior))
    outside = Roi((0, 0, 0), offset)
    case.compare_error("outside", lambda: requested(plain, outside))

    properties = {"axes": channels.axes, "dims": channels.dims, "num_channels": channels.num_channels}
    properties |= {"dtype": str(channels.dtype), "writable": channels.writable, "attrs": channels.attrs}
    case.compare("numpy_array", properties)

    def create(name: str, num_channels: int, write_size: Coordinate | None = None) -> ZarrArray:
        identifier = LocalArrayIdentifier(tmp_path / "arrays.zarr", name)
        return ZarrArray.create_from_array_identifier(
            identifier, AXES, roi, num_channels, voxel_size, np.float32, write_size=write_size
        )

    one = create("one", 1)
    case.compare("zarr_1ch_shape", list(one.data.shape))
    zarr = create("two", 2, write_size=voxel_size * 4)
    # Attributes beyond the reference's are for other readers.
    case.compare("zarr_attrs", {key: zarr.attrs[key] for key in case.reference("zarr_attrs")})
    case.compare(
        "zarr_2ch",
        {
            "shape": list(zarr.data.shape),
            "axes": zarr.axes,
            "dims": zarr.dims,
            "num_channels": zarr.num_channels,
            "voxel_size": list(zarr.voxel_size),
            "roi": [list(zarr.roi.offset), list(zarr.roi.shape)],
            "chunks": list(zarr.data.chunks),
            "spatial_axes": zarr.spatial_axes,
        },
    )
    case.compare_error("zarr_read_outside", lambda: zarr[Roi((0, 0, 0), (8, 8, 8))])
