"""Arithmetic of the sizes that go through a U-Net, one axis at a time, before anything is trained.

Along one axis a U-Net is a list of factors (one between two levels) and, for each level, how many voxels its
convolutions take away on each side. From these follow which input sizes work, how large the output is, how
much context a block needs, and on which grid blocks must lie so that they fit together exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from attacca.config.architecture import UNetConfig
from attacca.errors import ConfigurationError


@dataclass(frozen=True)
class AxisShapes:
    """One axis of a U-Net.

    Args:
        factors: factor between each level and the next coarser one; one fewer than there are levels.
        margins: voxels that the convolutions of a level reach on each side, at that level's resolution, on
            one way
            (down, and again up; the coarsest level has one way only).
        valid: convolutions without padding.
    """

    factors: tuple[int, ...]
    margins: tuple[int, ...]
    valid: bool

    @property
    def factor(self) -> int:
        """Voxels of the input for each voxel of the coarsest level."""
        product = 1
        for factor in self.factors:
            product *= factor
        return product

    def output_size(self, size: int) -> int | None:
        """Size of the output for an input of ``size``, or None where that size does not work."""
        return None if self.problem(size) else self._up(self._down(size))

    def problem(self, size: int) -> str | None:
        """Why an input of ``size`` does not work, or None where it does."""
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

    def needed(self, begin: int, end: int, level: int = 0) -> tuple[int, int]:
        """Voxels of the input that the output voxels ``begin`` to ``end`` depend on.

        Both are counted from the begin of an input to which nothing was added or taken away; what lies below
        0 is what zeros would stand for.
        """
        margin = self.margins[level]
        if level == len(self.factors):
            return begin - margin, end + margin
        factor = self.factors[level]
        begin, end = begin - margin, end + margin
        coarse_begin, coarse_end = self.needed(begin // factor, -(-end // factor), level + 1)
        return min(begin, coarse_begin * factor) - margin, max(end, coarse_end * factor) + margin

    def context(self, further: int = 0) -> int:
        """Voxels to read on each side of a block whose size is a multiple of ``factor``, so that its output
        is exact.

        The input, block plus context, then has a size that works, and the centre of the output, as large as
        the block, depends on nothing outside the input. ``further``: voxels that a prediction head without
        padding takes away on each side after the network.
        """
        block = self.factor
        context = further
        while True:
            size = block + 2 * context
            output = self.output_size(size)
            if output is not None and (output - block) % 2 == 0 and output >= block + 2 * further:
                begin, end = self.needed(context - further, context + block + further)
                if self.valid or (begin >= 0 and end <= size):
                    return context
            context += 1

    def nearby_sizes(self, size: int) -> tuple[int | None, int]:
        """The nearest sizes that work, below (None: there is none) and above ``size``."""
        below = next((n for n in range(size - 1, 0, -1) if self.problem(n) is None), None)
        above = size + 1
        while self.problem(above) is not None:
            above += 1
        return below, above


def check_input_shape(axes: Sequence[AxisShapes], shape: Sequence[int], key: str = "input_shape") -> None:
    """Refuse an input shape that does not work, and say which would.

    Raises:
        ConfigurationError: with the axis, the level and the nearest sizes that work.
    """
    if len(shape) != len(axes):
        raise ConfigurationError(
            f"{key}: {list(shape)} has {len(shape)} axes, but the network has {len(axes)}: give one size "
            f"for each"
        )
    names = "zyx"[-len(axes) :]
    problems: dict[tuple[int, str], list[str]] = {}
    for name, axis, size in zip(names, axes, shape):
        problem = axis.problem(size)
        if problem:
            below, above = axis.nearby_sizes(size)
            choice = f"{above}" if below is None else f"{below} or {above}"
            problems.setdefault((size, f"{problem}: use {choice}"), []).append(name)
    if problems:
        told = []
        for (size, problem), along in problems.items():
            where = "" if len(along) == len(axes) else f" along {' and '.join(along)}"
            told.append(f"an input of {size}{where} {problem}")
        raise ConfigurationError(f"{key}: {list(shape)} cannot go through the network: " + "; ".join(told))


def output_shape(axes: Sequence[AxisShapes], shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of the output for an input of ``shape``, in voxels.

    Raises:
        ConfigurationError: the input shape does not work.
    """
    check_input_shape(axes, shape)
    return tuple(axis._up(axis._down(size)) for axis, size in zip(axes, shape))


def block_context(axes: Sequence[AxisShapes], further: Sequence[int] | None = None) -> tuple[int, ...]:
    """Voxels to read on each side of a block, for each axis; see ``AxisShapes.context``."""
    more = further if further is not None else [0] * len(axes)
    return tuple(axis.context(extra) for axis, extra in zip(axes, more))


def unet_axes(config: UNetConfig) -> tuple[AxisShapes, ...]:
    """The arithmetic of each axis of the network that ``config`` describes."""
    dims = len(config.input_shape)
    levels = len(config.downsample_factors) + 1
    kernels = config.kernel_sizes or ((3,) * dims,) * levels
    return tuple(
        AxisShapes(
            factors=tuple(factors[axis] for factors in config.downsample_factors),
            margins=tuple(config.convs_per_level * (kernel[axis] // 2) for kernel in kernels),
            valid=config.padding == "valid",
        )
        for axis in range(dims)
    )
