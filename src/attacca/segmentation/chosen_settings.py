"""Settings that the tuner chose, read from its manifest."""

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.manifest import Manifest


def read_fragment_settings(tuning: Manifest) -> FragmentSettings:
    """Return the chosen settings of the fragments."""
    return FragmentSettings.model_validate(tuning.result["chosen"]["fragments"])


def read_agglomeration_settings(tuning: Manifest) -> AgglomerationSettings:
    """Return the chosen settings of the agglomeration."""
    return AgglomerationSettings.model_validate(tuning.result["chosen"]["agglomeration"])


def read_neighborhood(tuning: Manifest) -> tuple[tuple[int, ...], ...]:
    """Return the offset of each affinity channel of the prediction, in voxels."""
    return tuple(tuple(offset) for offset in tuning.parameters["task"]["neighborhood"])
