"""gunpowder nodes: sources, targets and augmentations, for any gunpowder pipeline."""

from attacca.gp.array_source import DaCapoArraySource, VolumeSource
from attacca.gp.copy_mask import CopyMask
from attacca.gp.elastic_augment import ElasticAugment
from attacca.gp.gamma_augment import GammaAugment
from attacca.gp.graph_source import GraphSource
from attacca.gp.intensity_augment import IntensityAugment, NoiseAugment, ToUnit
from attacca.gp.product import Product
from attacca.gp.reject_if_empty import RejectIfEmpty
from attacca.gp.sample_location import SampleLocation
from attacca.gp.section_augment import SectionDefects, SectionShift
from attacca.gp.target_filter import DaCapoTargetFilter, TargetFilter

__all__ = [
    "CopyMask",
    "DaCapoArraySource",
    "DaCapoTargetFilter",
    "ElasticAugment",
    "GammaAugment",
    "GraphSource",
    "IntensityAugment",
    "NoiseAugment",
    "Product",
    "RejectIfEmpty",
    "SampleLocation",
    "SectionDefects",
    "SectionShift",
    "TargetFilter",
    "ToUnit",
    "VolumeSource",
]
