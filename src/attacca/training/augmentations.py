"""Augmentation nodes from the configuration."""

import math

import gunpowder as gp
from funlib.geometry import Coordinate
from gunpowder import SimpleAugment

from attacca.config.training import AugmentationConfig
from attacca.errors import ConfigurationError
from attacca.gp import (
    ElasticAugment,
    GammaAugment,
    IntensityAugment,
    NoiseAugment,
    SectionDefects,
    SectionShift,
)


def create_augmentations(
    config: AugmentationConfig, voxel_size: Coordinate, raw: gp.ArrayKey
) -> list[gp.BatchFilter]:
    """Return the augmentation nodes of a configuration, in the order of their application.

    Args:
        config: the ``augmentation`` section.
        voxel_size: world units.
        raw: key of the raw data, to which the augmentations of intensity apply.

    Raises:
        ConfigurationError: a setting does not fit the axes or the voxel size of the volume.
    """
    nodes: list[gp.BatchFilter] = []
    dims = voxel_size.dims
    if config.elastic is not None:
        elastic = config.elastic
        spacing = _expand_to_axes(elastic.spacing, dims, "elastic.spacing")
        displacement = _expand_to_axes(elastic.displacement, dims, "elastic.displacement")
        if elastic.uniform_3d_rotation and (dims != 3 or len(set(voxel_size)) > 1):
            raise ConfigurationError(
                "training.augmentation.elastic.uniform_3d_rotation: needs three axes of equal voxel size, found "
                f"{tuple(voxel_size)}; set it to false, or resample the volume"
            )
        nodes.append(
            ElasticAugment(
                spacing,
                [size * step for size, step in zip(displacement, voxel_size)],
                [math.radians(angle) for angle in elastic.rotation],
                subsample=elastic.subsample,
                augmentation_probability=elastic.probability,
                uniform_3d_rotation=elastic.uniform_3d_rotation,
            )
        )
    if config.sections is not None and (config.sections.slip or config.sections.shift):
        sections = config.sections
        nodes.append(SectionShift(sections.slip, sections.shift, sections.max_shift))
    if config.simple is not None:
        mirror = _list_axes(config.simple.mirror, dims, "simple.mirror")
        transpose = _list_axes(config.simple.transpose, dims, "simple.transpose")
        if config.simple.transpose is True:
            transpose = find_exchangeable_axes(voxel_size)
        elif len({voxel_size[axis] for axis in transpose}) > 1:
            raise ConfigurationError(
                f"training.augmentation.simple.transpose: axes {list(transpose)} have voxels of "
                f"{[voxel_size[axis] for axis in transpose]}: exchange axes of equal voxel size only"
            )
        nodes.append(SimpleAugment(mirror_only=mirror, transpose_only=transpose))
    if config.gamma is not None:
        nodes.append(GammaAugment(raw, *config.gamma.range, p=config.gamma.probability))
    if config.intensity is not None:
        part = config.intensity
        nodes.append(IntensityAugment(raw, part.scale, part.shift, part.per_section, p=part.probability))
    if config.noise is not None:
        nodes.append(NoiseAugment(raw, config.noise.sigma, p=config.noise.probability))
    if config.sections is not None and (config.sections.missing or config.sections.low_contrast):
        sections = config.sections
        nodes.append(SectionDefects(raw, sections.missing, sections.low_contrast, sections.contrast_scale))
    return nodes


def find_exchangeable_axes(voxel_size: Coordinate) -> list[int]:
    """Return the largest group of axes with equal voxel size; of equally large groups, the one with later axes.

    >>> find_exchangeable_axes(Coordinate(40, 4, 4))
    [1, 2]
    """
    groups: dict[int, list[int]] = {}
    for axis, size in enumerate(voxel_size):
        groups.setdefault(size, []).append(axis)
    return max(groups.values(), key=lambda axes: (len(axes), axes))


def _expand_to_axes(value: float | tuple[float, ...], dims: int, key: str) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,) * dims
    if len(values) != dims:
        raise ConfigurationError(
            f"training.augmentation.{key}: found {len(values)} numbers, expected one, or {dims} (one per axis)"
        )
    return values


def _list_axes(value: bool | tuple[int, ...], dims: int, key: str) -> list[int]:
    if isinstance(value, bool):
        return list(range(dims)) if value else []
    if any(not 0 <= axis < dims for axis in value):
        raise ConfigurationError(
            f"training.augmentation.{key}: found axes {list(value)}, expected numbers from 0 to {dims - 1}"
        )
    return sorted(set(value))
