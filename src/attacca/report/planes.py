"""Planes through volumes: choice of the planes, and arrays read on a common grid of pixels.

Only the voxels of the window on the page are read, whatever the size of the volume.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array
from attacca.config.units import SYMBOLS
from attacca.report.colors import find_boundaries
from attacca.report.results import Image

WINDOW = 448
"""Largest number of pixels along a side of a window."""

_CANDIDATES = (0.5, 0.42, 0.58, 0.34, 0.66)


@dataclass(frozen=True)
class View:
    """A window of one plane.

    Attributes:
        axis: the spatial axis perpendicular to the plane; None for an image of two axes.
        roi: the window in world units, one voxel thick along ``axis``.
        voxel_size: size of a pixel of the window.
        names: names of the spatial axes.
        unit: unit of world coordinates.
    """

    axis: int | None
    roi: Roi
    voxel_size: Coordinate
    names: tuple[str, ...]
    unit: str = "nanometer"

    @property
    def plane(self) -> tuple[int, ...]:
        """The two spatial axes of the plane, vertical and horizontal."""
        return tuple(axis for axis in range(self.roi.dims) if axis != self.axis)

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Height and width of a pixel in world units."""
        down, right = self.plane
        return float(self.voxel_size[down]), float(self.voxel_size[right])

    @property
    def center(self) -> tuple[int, ...]:
        """Center of the window in world units."""
        return tuple(int(value) for value in self.roi.center)

    @property
    def title(self) -> str:
        """Axes and position of the plane, such as ``xy plane at z = 1200 nm``."""
        down, right = self.plane
        text = f"{self.names[right]}{self.names[down]} plane"
        if self.axis is None:
            return text
        position = f"{self.roi.begin[self.axis]:,}".replace(",", "\u202f")
        return f"{text} at {self.names[self.axis]} = {position} {unit_symbol(self.unit)}"


def unit_symbol(unit: str) -> str:
    """Return the symbol of a unit of length, such as ``nm`` for ``nanometer``."""
    return SYMBOLS.get(unit, unit)


def make_scale_bar(view: View) -> tuple[str, float]:
    """Return a round length as text, and its fraction of the window's width, at most a third.

    A window that is too low for a scale bar gets an empty text.
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


def read_plane(array: Array, view: View, fill: float = 0, stored: bool = False) -> np.ndarray:
    """Read the voxels of an array that contain the centers of a view's pixels.

    Args:
        array: any voxel size and position.
        view: the window.
        fill: value outside the array.
        stored: return values as stored, not in the original value range; for ids.

    Returns:
        Shape (y, x), or (c, y, x) for an array with channels.
    """
    low, high, indices = [], [], []
    for axis in range(view.roi.dims):
        size, offset = int(array.voxel_size[axis]), int(array.roi.begin[axis])
        pixel = int(view.voxel_size[axis])
        count = int(view.roi.shape[axis]) // pixel
        # Twice the centers, so that they stay whole numbers.
        centers = 2 * (int(view.roi.begin[axis]) - offset) + pixel * (2 * np.arange(count) + 1)
        index = centers // (2 * size)
        low.append(int(index.min()))
        high.append(int(index.max()) + 1)
        indices.append(index - index.min())
    voxel = array.voxel_size
    roi = Roi(array.roi.begin + Coordinate(low) * voxel, (Coordinate(high) - Coordinate(low)) * voxel)
    block = array.read(roi, fill) if stored else array.read_values(roi, fill)
    lead = block.ndim - view.roi.dims
    for axis, index in enumerate(indices):
        block = block.take(index, axis=lead + axis)
    return block if view.axis is None else np.squeeze(block, axis=lead + view.axis)


def find_inside(roi: Roi, view: View) -> np.ndarray:
    """Return a mask of the pixels of a view whose centers are in a region; bool, shape (y, x)."""
    masks = []
    for axis in range(view.roi.dims):
        pixel = int(view.voxel_size[axis])
        count = int(view.roi.shape[axis]) // pixel
        # Twice the centers, so that they stay whole numbers.
        centers = 2 * int(view.roi.begin[axis]) + pixel * (2 * np.arange(count) + 1)
        masks.append((centers >= 2 * int(roi.begin[axis])) & (centers < 2 * int(roi.end[axis])))
    down, right = view.plane
    is_in_plane = view.axis is None or bool(masks[view.axis].all())
    return masks[down][:, None] & masks[right][None, :] & is_in_plane


def intersect_rois(images: Iterable[Image | None]) -> Roi | None:
    """Return the region that all images cover; None without images or without such a region."""
    roi: Roi | None = None
    for image in images:
        if image is None:
            continue
        own = image.finest.roi
        roi = own if roi is None else roi.intersect(own)
    return None if roi is None or roi.empty else roi


def place_window(array: Array, roi: Roi, center: Coordinate, axis: int | None, pixels: int = WINDOW) -> View:
    """Place a window in a plane through ``center``, on the grid of ``array``, within ``roi`` if it fits.

    Args:
        array: its voxels become pixels.
        roi: region of interest.
        center: world coordinates.
        axis: axis perpendicular to the plane; None for an image of two axes.
        pixels: largest number of pixels along a side.
    """
    size, origin = array.voxel_size, array.roi.begin
    offset, shape = [], []
    for index in range(array.dims):
        low = -((origin[index] - roi.begin[index]) // size[index])
        count = max(1, (roi.end[index] - origin[index]) // size[index] - low)
        length = 1 if index == axis else min(count, pixels)
        middle = (center[index] - origin[index]) // size[index]
        first = min(max(middle - length // 2, low), low + count - length)
        offset.append(origin[index] + first * size[index])
        shape.append(length * size[index])
    return View(axis, Roi(offset, shape), size, tuple(array.spatial_axes), array.unit)


def choose_views(
    grid: Array,
    roi: Roi,
    labels: Array | None,
    find_ignored: Callable[[View], np.ndarray | None] = lambda view: None,
) -> list[View]:
    """Choose a window for each orientation, near the center of ``roi``, in the plane with most boundaries.

    Args:
        grid: its voxels become pixels.
        roi: region that all displayed images cover.
        labels: segmentation or ground truth; without it the central planes are chosen.
        find_ignored: returns the pixels of a view whose boundaries do not count.
    """
    axes: list[int | None] = [None] if grid.dims == 2 else list(range(grid.dims))
    views = []
    for axis in axes:
        candidates = []
        for part in _CANDIDATES if axis is not None and labels is not None else _CANDIDATES[:1]:
            center = [int(value) for value in roi.center]
            if axis is not None:
                size = int(grid.voxel_size[axis])
                center[axis] = int(roi.begin[axis]) + round(part * (int(roi.shape[axis]) // size)) * size
            candidates.append(place_window(grid, roi, Coordinate(center), axis))
        if len(candidates) > 1 and labels is not None:
            lengths = [
                int(find_boundaries(read_plane(labels, view, stored=True), find_ignored(view)).sum())
                for view in candidates
            ]
            # The first of equals is the one nearest to the center.
            candidates = [candidates[int(np.argmax(lengths))]]
        views.append(candidates[0])
    return views


def choose_overview(image: Image, axis: int | None, pixels: int = WINDOW) -> tuple[Array, View] | None:
    """Choose the finest scale on which a whole plane has at most ``2 * pixels`` pixels along a side.

    Returns:
        The array of this scale and the view of its central plane; None if each scale is too large.
    """
    for array in image.scales:
        sides = [array.roi.shape[a] // array.voxel_size[a] for a in range(array.dims) if a != axis]
        if all(side <= 2 * pixels for side in sides):
            center = Coordinate(int(value) for value in array.roi.center)
            return array, place_window(array, array.roi, center, axis, 2 * pixels)
    return None
