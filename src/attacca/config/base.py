"""Base class of the configuration models."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A section of the configuration: unknown keys are errors, values are immutable.

    The docstrings below the fields become ``docs/configuration.md`` and the JSON schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
