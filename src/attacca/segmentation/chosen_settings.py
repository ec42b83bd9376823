"""Settings that the tuner chose, read from its manifest."""

from attacca.config.segmentation import AgglomerationSettings, FragmentSettings
from attacca.manifest import Manifest


def read_fragment_settings(tuning: Manifest) -> FragmentSettings:
    """Return the chosen settings of the fragments.

    >>> from types import SimpleNamespace
    >>> tuning = SimpleNamespace(result={"chosen": {"fragments": {"chain": "seeded"}}})
    >>> read_fragment_settings(tuning).chain
    'seeded'
    """
    return FragmentSettings.model_validate(tuning.result["chosen"]["fragments"])


def read_agglomeration_settings(tuning: Manifest) -> AgglomerationSettings:
    """Return the chosen settings of the agglomeration.

    >>> from types import SimpleNamespace
    >>> tuning = SimpleNamespace(result={"chosen": {"agglomeration": {"threshold": 0.4}}})
    >>> read_agglomeration_settings(tuning).threshold
    0.4
    """
    return AgglomerationSettings.model_validate(tuning.result["chosen"]["agglomeration"])


def read_neighborhood(tuning: Manifest) -> tuple[tuple[int, ...], ...]:
    """Return the offset of each affinity channel of the prediction, in voxels.

    >>> from types import SimpleNamespace
    >>> read_neighborhood(SimpleNamespace(parameters={"task": {"neighborhood": [[1, 0, 0], [0, 1, 0]]}}))
    ((1, 0, 0), (0, 1, 0))
    """
    return tuple(tuple(offset) for offset in tuning.parameters["task"]["neighborhood"])
