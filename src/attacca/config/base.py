"""Base class of the configuration models."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


def _check_number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"found {str(value).lower()}, expected a number")
    return value


def _refuse_booleans(schema: Any) -> Any:
    """Return a schema whose numbers do not accept ``true`` and ``false``, which pydantic converts to 1 and 0."""
    if isinstance(schema, list | tuple):
        return type(schema)(_refuse_booleans(item) for item in schema)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("int", "float"):
        return core_schema.no_info_before_validator_function(_check_number, schema)  # type: ignore[arg-type]
    function = schema.get("function")
    if isinstance(function, dict) and function.get("function") is _check_number:
        return schema
    # Metadata hold the references of JSON schemas, and defaults hold values.
    return {
        key: value if key in ("metadata", "default", "serialization") else _refuse_booleans(value)
        for key, value in schema.items()
    }


class StrictModel(BaseModel):
    """A section of the configuration: unknown keys are errors, values are immutable, ``true`` is not the number 1.

    The docstrings below the fields become ``docs/configuration.md`` and the JSON schema.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _refuse_booleans(handler(source))
        return schema
