"""Planes through volumes: where to cut, and how to read a cut of any array on one common grid of pixels.

Only the window that is shown is read, whatever the size of the volume.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array
from attacca.config.units import SYMBOLS
from attacca.report.colors import boundaries
from attacca.report.results import Image

WINDOW = 448
"""Largest number of pixels along a side of a cut."""

_CANDIDATES = (0.5, 0.42, 0.58, 0.34, 0.66)


@dataclass(frozen=True)
class View:
    """A window of one plane.

    Attributes:
        axis: the spatial axis that is cut; None for an image of two axes.
        roi: the window in world units, one voxel thick along ``axis``.
        voxel_size: pixels are voxels of this size.
        names: names of the spatial axes.
        unit: of world coordinates.
    """

    axis: int | None
    roi: Roi
    voxel_size: Coordinate
    names: tuple[str, ...]
    unit: str = "nanometer"

    @property
    def plane(self) -> tuple[int, ...]:
        """The two spatial axes that are seen, downwards and rightwards."""
        return tuple(axis for axis in range(self.roi.dims) if axis != self.axis)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Lengths of a pixel downwards and rightwards."""
        down, right = self.plane
        return float(self.voxel_size[down]), float(self.voxel_size[right])

    @property
    def centre(self) -> tuple[int, ...]:
        """The middle of the window in world units."""
        return tuple(int(value) for value in self.roi.center)

    @property
    def title(self) -> str:
        """The plane's axes and where it lies: ``xy plane at z = 1200 nm``."""
        down, right = self.plane
        text = f"{self.names[right]}{self.names[down]} plane"
        if self.axis is None:
            return text
        begin = f"{self.roi.begin[self.axis]:,}".replace(",", "\u202f")
        return f"{text} at {self.names[self.axis]} = {begin} {unit_symbol(self.unit)}"


def unit_symbol(unit: str) -> str:
    """``nm`` for ``nanometer``."""
    return SYMBOLS.get(unit, unit)


def scale_bar(view: View) -> tuple[str, float]:
    """A round length and the part of the window's width that it takes: at most a third.

    Empty on a strip that is too low for it.
    """
    down, right = view.plane
    if view.roi.shape[down] < view.roi.shape[right] / 8:
        return "", 0.0
    extent = float(view.roi.shape[right])
    exponent = 10 ** np.floor(np.log10(max(extent, 1) / 3))
    length = max(step for step in (1, 2, 5) if step * exponent <= extent / 3 or step == 1) * exponent
    symbol = unit_symbol(view.unit)
    if symbol == "nm" and length >= 1000:
        return f"{length / 1000:g} µm", length / extent
    if symbol == "Å" and length >= 10000:
        return f"{length / 10000:g} µm", length / extent
    return f"{length:g} {symbol}", length / extent


def cut(array: Array, view: View, fill: float = 0, stored: bool = False) -> np.ndarray:
    """The voxels of an array under the pixels of a view, each the voxel that holds the pixel's centre.

    Args:
        array: of any voxel size and place.
        view: where to cut.
        fill: what stands outside of the array.
        stored: as they are stored, not in the original value range; for ids.

    Returns:
        Shape (y, x), or (c, y, x) for an array with channels.
    """
    low, high, places = [], [], []
    for axis in range(view.roi.dims):
        size, begin = int(array.voxel_size[axis]), int(array.roi.begin[axis])
        pixel = int(view.voxel_size[axis])
        count = int(view.roi.shape[axis]) // pixel
        # Twice the centres, so that they stay whole.
        centres = 2 * (int(view.roi.begin[axis]) - begin) + pixel * (2 * np.arange(count) + 1)
        index = centres // (2 * size)
        low.append(int(index.min()))
        high.append(int(index.max()) + 1)
        places.append(index - index.min())
    voxel = array.voxel_size
    roi = Roi(array.roi.begin + Coordinate(low) * voxel, (Coordinate(high) - Coordinate(low)) * voxel)
    block = array.read(roi, fill) if stored else array.read_values(roi, fill)
    lead = block.ndim - view.roi.dims
    for axis, index in enumerate(places):
        block = block.take(index, axis=lead + axis)
    return block if view.axis is None else np.squeeze(block, axis=lead + view.axis)


def common_roi(images: Iterable[Image | Array | None]) -> Roi | None:
    """Where all the images have voxels; None without any, or where they do not meet."""
    roi: Roi | None = None
    for image in images:
        if image is None:
            continue
        own = image.finest.roi if isinstance(image, Image) else image.roi
        roi = own if roi is None else roi.intersect(own)
    return None if roi is None or roi.empty else roi


def window(array: Array, roi: Roi, centre: Coordinate, axis: int | None, pixels: int = WINDOW) -> View:
    """A window of a plane through ``centre``, on the grid of ``array``, inside ``roi`` where it fits.

    Args:
        array: its voxels become pixels.
        roi: where there is something to see.
        pixels: largest number of pixels along a side.
    """
    size, origin = array.voxel_size, array.roi.begin
    begin, shape = [], []
    for index in range(array.dims):
        low = -((origin[index] - roi.begin[index]) // size[index])
        count = max(1, (roi.end[index] - origin[index]) // size[index] - low)
        wanted = 1 if index == axis else min(count, pixels)
        middle = (centre[index] - origin[index]) // size[index]
        first = min(max(middle - wanted // 2, low), low + count - wanted)
        begin.append(origin[index] + first * size[index])
        shape.append(wanted * size[index])
    return View(axis, Roi(begin, shape), size, tuple(array.spatial_axes), array.unit)


def informative_views(grid: Array, roi: Roi, labels: Array | None) -> list[View]:
    """A window for each orientation, near the middle, where a cut through ``labels`` shows the most boundary.

    Args:
        grid: its voxels become pixels.
        roi: where all that is shown lies.
        labels: segmentation or truth; without it the middle is taken.
    """
    axes: list[int | None] = [None] if grid.dims == 2 else list(range(grid.dims))
    views = []
    for axis in axes:
        candidates = []
        for part in _CANDIDATES if axis is not None and labels is not None else _CANDIDATES[:1]:
            centre = [int(value) for value in roi.center]
            if axis is not None:
                size = int(grid.voxel_size[axis])
                centre[axis] = int(roi.begin[axis]) + round(part * (int(roi.shape[axis]) // size)) * size
            candidates.append(window(grid, roi, Coordinate(centre), axis))
        if len(candidates) > 1 and labels is not None:
            richness = [int(boundaries(cut(labels, view, stored=True)).sum()) for view in candidates]
            # The first of equals, which is the one nearest the middle.
            candidates = [candidates[int(np.argmax(richness))]]
        views.append(candidates[0])
    return views


def overview(image: Image, axis: int | None, roi: Roi, pixels: int = WINDOW) -> tuple[Array, View] | None:
    """The whole plane on a coarse scale; None where no scale is coarse enough to be read whole."""
    array = image.scales[-1]
    for scale in image.scales:
        if all(
            scale.roi.shape[a] // scale.voxel_size[a] <= 2 * pixels for a in range(scale.dims) if a != axis
        ):
            array = scale
            break
    else:
        return None
    return array, window(array, array.roi, Coordinate(int(v) for v in roi.center), axis, 2 * pixels)
