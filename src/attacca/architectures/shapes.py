"""Arithmetic of the input and output sizes of a U-Net, axis by axis, without torch.

Along one axis, a U-Net is a list of factors between levels and, per level, the voxels by which its convolutions reduce
each side. These numbers determine the possible input sizes, the output size, the context of a block, and the grid on
which blocks fit together exactly. A stem is a level 0 without convolutions: full resolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from attacca.config.architecture import UNetConfig
from attacca.errors import ConfigurationError


@dataclass(frozen=True)
class AxisShapes:
    """Sizes of a U-Net along one axis, in voxels.

    Args:
        factors: factor between each level and the next coarser one; one fewer than levels.
        margins: reach of the convolutions of each level on each side, in voxels of the level, on one path (a level has
            a path down and a path up; the coarsest level has one path only).
        valid: convolutions without padding.

    >>> axis = AxisShapes(factors=(2,), margins=(2, 2), valid=True)
    >>> axis.output_size(24), axis.output_size(23)
    (8, None)
    >>> axis.find_problem(23)
    'does not divide by 2 at level 1'
    >>> axis.context(), axis.nearby_sizes(23)
    (8, (22, 24))
    """

    factors: tuple[int, ...]
    margins: tuple[int, ...]
    valid: bool

    @property
    def factor(self) -> int:
        """Voxels of the input per voxel of the coarsest level."""
        product = 1
        for factor in self.factors:
            product *= factor
        return product

    def output_size(self, size: int) -> int | None:
        """Return the size of the output for an input of ``size``; None if that size is not possible."""
        return None if self.find_problem(size) else self._up(self._down(size))

    def find_problem(self, size: int) -> str | None:
        """Return the reason why an input of ``size`` is not possible; None if it is possible."""
        current = size
        for level, margin in enumerate(self.margins):
            if self.valid:
                current -= 2 * margin
            if current < 1:
                return f"is too small: nothing is left at level {level}"
            if level < len(self.factors):
                if current % self.factors[level]:
                    through = 1
                    for factor in self.factors[: level + 1]:
                        through *= factor
                    return f"does not divide by {through} at level {level + 1}"
                current //= self.factors[level]
        if self._up(current) < 1:
            return "is too small: no output is left"
        return None

    def _down(self, size: int) -> int:
        for level, margin in enumerate(self.margins):
            if self.valid:
                size -= 2 * margin
            if level < len(self.factors):
                size //= self.factors[level]
        return size

    def _up(self, size: int) -> int:
        for level in range(len(self.factors) - 1, -1, -1):
            size *= self.factors[level]
            if self.valid:
                size -= 2 * self.margins[level]
        return size

    def find_needed(self, begin: int, end: int, level: int = 0) -> tuple[int, int]:
        """Return the range of input voxels on which the output voxels ``begin`` to ``end`` depend.

        Indices count from the corner of the input, without padding or cropping; padding would replace voxels with
        negative indices by zeros.
        """
        margin = self.margins[level]
        if level == len(self.factors):
            return begin - margin, end + margin
        factor = self.factors[level]
        begin, end = begin - margin, end + margin
        coarse_begin, coarse_end = self.find_needed(begin // factor, -(-end // factor), level + 1)
        return min(begin, coarse_begin * factor) - margin, max(end, coarse_end * factor) + margin

    def find_ranges(self, size: int, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the range of voxels of each level that the path up needs for the output voxels ``begin`` to ``end``.

        Ranges include the voxels that the convolutions of the level reach, and are multiples of the factor to the
        coarser one. The coarsest level, which the path up does not contain, has none.

        Args:
            size: voxels of the input, which is padded; ranges end at its sides.
            begin, end: range of the output.

        >>> AxisShapes(factors=(2, 2), margins=(2, 2, 2), valid=False).find_ranges(140, 22, 118)
        [(20, 120), (8, 62)]
        """
        ranges = []
        for factor, margin in zip(self.factors, self.margins):
            begin = max(0, (begin - margin) // factor * factor)
            end = min(size, -(-(end + margin) // factor) * factor)
            ranges.append((begin, end))
            begin, end, size = begin // factor, end // factor, size // factor
        return ranges

    def context(self, further: int = 0) -> int:
        """Return the context on each side with which the output of a block is exact, in voxels.

        The size of the input, block plus context, is then possible, and the center of the output, of the block's size,
        does not depend on voxels outside the input.

        Args:
            further: voxels by which a prediction head without padding reduces the output on each side.
        """
        block = self.factor
        context = further
        while True:
            size = block + 2 * context
            output = self.output_size(size)
            if output is not None and (output - block) % 2 == 0 and output >= block + 2 * further:
                begin, end = self.find_needed(context - further, context + block + further)
                if self.valid or (begin >= 0 and end <= size):
                    return context
            context += 1

    def nearby_sizes(self, size: int) -> tuple[int | None, int]:
        """Return the nearest possible sizes below (None if none is possible) and above ``size``."""
        below = next((n for n in range(size - 1, 0, -1) if self.find_problem(n) is None), None)
        above = size + 1
        while self.find_problem(above) is not None:
            above += 1
        return below, above


def check_input_shape(axes: Sequence[AxisShapes], shape: Sequence[int], key: str = "input_shape") -> None:
    """Raise an error for an input shape that the network cannot process.

    Args:
        axes: the network, one entry per axis.
        shape: of the input, in voxels.
        key: configuration key, for the message.

    Raises:
        ConfigurationError: names the axis, the level and the nearest possible sizes.
    """
    if len(shape) != len(axes):
        raise ConfigurationError(
            f"{key}: {list(shape)} has {len(shape)} axes, but the network has {len(axes)}: give one size per axis"
        )
    names = "zyx"[-len(axes) :]
    problems: dict[tuple[int, str], list[str]] = {}
    for name, axis, size in zip(names, axes, shape):
        problem = axis.find_problem(size)
        if problem:
            below, above = axis.nearby_sizes(size)
            choice = f"{above}" if below is None else f"{below} or {above}"
            problems.setdefault((size, f"{problem}: use {choice}"), []).append(name)
    if problems:
        messages = []
        for (size, problem), along in problems.items():
            where = "" if len(along) == len(axes) else f" along {' and '.join(along)}"
            messages.append(f"an input of {size}{where} {problem}")
        raise ConfigurationError(
            f"{key}: {list(shape)} is not a possible input of the network: " + "; ".join(messages)
        )


def compute_output_shape(axes: Sequence[AxisShapes], shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the output for an input of ``shape``, in voxels.

    Raises:
        ConfigurationError: the input shape is not possible.
    """
    check_input_shape(axes, shape)
    return tuple(axis._up(axis._down(size)) for axis, size in zip(axes, shape))


def compute_block_context(
    axes: Sequence[AxisShapes], further: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return the context of a block on each side, per axis, in voxels; see ``AxisShapes.context``."""
    more = further if further is not None else [0] * len(axes)
    return tuple(axis.context(extra) for axis, extra in zip(axes, more))


def find_center_corners(
    axes: Sequence[AxisShapes], shape: Sequence[int], center: Sequence[int]
) -> list[tuple[list[int], list[int]]]:
    """Return lower and upper corner of each level that the path up needs for the center of an output.

    Args:
        axes: the network, one entry per axis.
        shape: of the input, in voxels.
        center: shape of the center, in voxels.

    >>> axis = AxisShapes(factors=(2, 2), margins=(2, 2, 2), valid=False)
    >>> find_center_corners([axis, axis], (140, 140), (96, 96))
    [([20, 20], [120, 120]), ([8, 8], [62, 62])]
    """
    ranges = []
    for axis, size, inner in zip(axes, shape, center):
        begin = (size - inner) // 2
        ranges.append(axis.find_ranges(size, begin, begin + inner))
    return [([low for low, _ in level], [high for _, high in level]) for level in zip(*ranges)]


def create_axes(config: UNetConfig) -> tuple[AxisShapes, ...]:
    """Return the arithmetic of each axis of the network that ``config`` describes."""
    dims = len(config.input_shape)
    levels = len(config.downsample_factors) + 1
    kernels = config.kernel_sizes or ((3,) * dims,) * levels
    all_factors = config.downsample_factors
    if config.stem is not None:
        all_factors, kernels = (config.stem, *all_factors), ((1,) * dims, *kernels)
    return tuple(
        AxisShapes(
            factors=tuple(factors[axis] for factors in all_factors),
            margins=tuple(config.convs_per_level * (kernel[axis] // 2) for kernel in kernels),
            valid=config.padding == "valid",
        )
        for axis in range(dims)
    )
