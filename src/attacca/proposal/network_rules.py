"""Rules that choose the network from the sizes of voxels and objects."""

import math
from collections.abc import Sequence
from typing import Any

from attacca.proposal.choices import Choice, Kind, Machine, Scale

STEM_ABOVE = 12.0
"""Width of objects in voxels of the finest axis above which half the resolution is sufficient for the features."""
ISOTROPIC_BELOW = 1.5
"""Ratio of voxel edges below which an axis is treated as equal to the finest."""
FLAT_ABOVE = 8.0
"""Ratio of section thickness and pixel above which classes are learned section by section."""

_FEWEST_LEVELS, _MOST_LEVELS = 3, 4
_CPU_VOXELS = {2: 96**2, 3: 40**3}
_GPU_VOXELS = {2: 512**2, 3: 96**3}
_CPU_CHANNELS, _GPU_CHANNELS = 12, 24


def choose_architecture(kind: Kind, scale: Scale, extent: Sequence[int], machine: Machine) -> dict[str, Any]:
    """Return the section ``architecture``.

    Args:
        kind: kind of the labels.
        scale: sizes.
        extent: smallest extent of the labels of a training volume along each axis, in voxels.
        machine: resources.

    >>> scale = Scale((40, 8, 8), width=80.0, diameter=300.0, fewest_voxels=1000)
    >>> network = choose_architecture("dense instances", scale, (20, 512, 512), Machine(cores=2))
    >>> network["downsample_factors"].value, network["kernel_sizes"].value
    ([[1, 2, 2], [1, 2, 2]], [[1, 3, 3], [1, 3, 3], [3, 3, 3]])
    """
    is_flat = (
        kind in ("boundaries", "classes", "objects") and scale.dims == 3 and scale.ratios[0] >= FLAT_ABOVE
    )
    # A flat network has one section along z, and is chosen like one of two dimensions.
    lead = [1] if is_flat else []
    ratios = scale.ratios[len(lead) :]
    stem = None
    if scale.width_in_voxels >= STEM_ABOVE and kind != "boundaries":
        stem = [2 if ratio < ISOTROPIC_BELOW else 1 for ratio in ratios]
        ratios = _coarsen(ratios, stem)
    downsampling: list[list[int]] = []
    kernels = [_choose_kernel(ratios)]
    while len(kernels) < _FEWEST_LEVELS or (max(ratios) >= ISOTROPIC_BELOW and len(kernels) < _MOST_LEVELS):
        downsampling.append([1 if ratio >= ISOTROPIC_BELOW else 2 for ratio in ratios])
        ratios = _coarsen(ratios, downsampling[-1])
        kernels.append(_choose_kernel(ratios))
    total = [math.prod(factors) for factors in zip(*downsampling, *([stem] if stem else []))]
    shape = _choose_shape(scale.ratios[len(lead) :], total, extent[len(lead) :], machine, stem)
    width = (_GPU_CHANNELS if machine.gpus else _CPU_CHANNELS) * (2 if stem else 1)
    device = "a GPU" if machine.gpus else "CPU cores"
    flat = "2D network on sections, which are much thicker than their pixels; " if is_flat else ""
    result = {
        "input_shape": Choice(
            lead + shape,
            f"{flat}about equal lengths along all axes, with as many voxels as {device} compute quickly",
        )
    }
    if stem:
        share = "an eighth" if math.prod(stem) == 8 else "a quarter"
        result["stem"] = Choice(
            lead + stem,
            f"objects are {scale.width_in_voxels:.0f} voxels wide: features at half the resolution are sufficient, with "
            f"{share} of the operations",
        )
    result["channels"] = Choice(
        [width * 2**level for level in range(len(kernels))],
        f"sufficient for a few annotated cubes, and fast on {device}",
    )
    is_thin = _flatten_kernels(kernels, downsampling, shape)
    is_cubic = max(ratios) < ISOTROPIC_BELOW and all(min(factors) == 2 for factors in downsampling)
    result["downsample_factors"] = Choice(
        [lead + factors for factors in downsampling],
        "edges of voxels are about equal"
        if is_cubic
        else "the coarse axis is kept until voxels are about cubic",
    )
    if is_flat or any(1 in kernel for kernel in kernels):
        reason = "while they are twice as thick as pixels are wide" if not is_flat else "in a 2D network"
        reason = (
            "at fine levels, which would reach far beyond the few sections of the labels"
            if is_thin
            else reason
        )
        result["kernel_sizes"] = Choice(
            [lead + kernel for kernel in kernels], f"no convolution across sections {reason}"
        )
    result["skip"] = Choice("add", "fewer operations than concatenation, at equal accuracy in the example")
    result["normalization"] = Choice(
        "batch", "measured for all kinds of labels: better after fewer steps (docs/choosing.md)"
    )
    return result


def _flatten_kernels(
    kernels: list[list[int]], downsampling: Sequence[Sequence[int]], shape: Sequence[int]
) -> bool:
    """Shorten kernels of fine levels along the first axis while the context along it is at least twice the input.

    Args:
        kernels: of each level; changed.
        downsampling: factors between levels.
        shape: input shape.

    Returns:
        Whether kernels were changed.
    """
    is_changed = False
    for level in range(len(kernels) - 1):
        # Each level has two convolutions on the way down, and two on the way up.
        scale, reach = 1, 0
        for index, kernel in enumerate(kernels):
            reach += scale * (kernel[0] - 1) * (1 if index == len(kernels) - 1 else 2)
            scale *= downsampling[index][0] if index < len(downsampling) else 1
        if 2 * shape[0] > reach:
            break
        if len(shape) == 3 and kernels[level][0] > 1:
            kernels[level] = [1, *kernels[level][1:]]
            is_changed = True
    return is_changed


def _coarsen(ratios: Sequence[float], factors: Sequence[int]) -> list[float]:
    """Return the ratios of the edges of voxels to the shortest one after a reduction of the resolution."""
    edges = [ratio * factor for ratio, factor in zip(ratios, factors, strict=True)]
    return [edge / min(edges) for edge in edges]


def _choose_kernel(ratios: Sequence[float]) -> list[int]:
    return [1 if ratio >= 2 else 3 for ratio in ratios]


def _choose_shape(
    ratios: Sequence[float],
    total: Sequence[int],
    extent: Sequence[int],
    machine: Machine,
    stem: Sequence[int] | None,
) -> list[int]:
    """Return the input shape: a box of about equal world lengths, of whole cells of the coarsest level."""
    dims = len(ratios)
    # Operations at half the resolution are fewer, but the output has full resolution.
    voxels = (_GPU_VOXELS if machine.gpus else _CPU_VOXELS)[dims] * (math.prod(stem) / 2 if stem else 1)
    edge = (voxels * math.prod(ratios)) ** (1 / dims)
    shape = []
    for ratio, factor, most in zip(ratios, total, extent, strict=True):
        size = max(2, round(edge / ratio / factor)) * factor
        shape.append(max(2 * factor, min(size, most // factor * factor)))
    return shape
