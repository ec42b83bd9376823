"""The parameters of one run of a post-processor."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class PostProcessorParameters:
    """Base of the parameters of all post-processors.

    Attributes:
        id: number that tells the parameters of one post-processor apart.
    """

    id: int = 0

    @property
    def parameter_names(self) -> list[str]:
        """Names of all parameters, ``id`` first."""
        return [field.name for field in fields(self)]
