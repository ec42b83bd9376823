"""Sections of the configuration that select an extension by its ``type``."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    Tag,
    WithJsonSchema,
    model_serializer,
)

from attacca.config.base import StrictModel
from attacca.errors import AttaccaError
from attacca.extensions import Extension, Kind, require_extension

DIGEST = "digest"
"""Key of the digest of an extension's source code in a section that Attacca has written."""
# The form of a label that pydantic adds to the location of an error, which the file of the user does not contain.
_TAG = "[extension]"


class Options(StrictModel):
    """Base of the models of extensions: keys of the section that selects the extension.

    A subclass has the field ``type: Literal["NAME"] = "NAME"``, where NAME is the name of the extension.
    """

    extension: ClassVar[Extension]
    """The extension; set by ``register``."""

    @model_serializer(mode="wrap")
    def _add_digest(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Results depend on the source code of the extension.
        return {**serialize(self), DIGEST: self.extension.source.digest}

    def create(self, *arguments: Any) -> Any:
        """Return the part that the section describes, from these options and further arguments."""
        return self.extension.create(self, *arguments)


class ArchitectureOptions(Options):
    """Base of the models of networks."""

    input_shape: tuple[int, ...] = Field(default=(64, 64, 64), min_length=2, max_length=3)
    """Input shape of the network in training, in voxels."""
    eval_shape_increase: tuple[int, ...] | None = None
    """Difference of the input shapes in prediction and in training, in voxels."""

    @property
    def members(self) -> int:
        """Number of networks whose predictions are averaged; always 1."""
        return 1


def read_section(kind: Kind, section: Any) -> Options:
    """Return the options of a section.

    Args:
        kind: the part that the section describes.
        section: the name of an extension, or a mapping with ``type`` and the options of the extension.

    Raises:
        ValueError: the extension does not exist, or its source code is not that of the section.
        pydantic.ValidationError: the options are not valid.
    """
    if isinstance(section, Options):
        return section
    values = {"type": section} if isinstance(section, str) else section
    if not isinstance(values, Mapping) or not isinstance(values.get("type"), str):
        raise ValueError(
            f"found {section!r}, expected the name of an extension, or a mapping with the key 'type'"
        )
    try:
        extension = require_extension(kind, values["type"])
    except AttaccaError as error:
        raise ValueError(str(error)) from None
    digest = values.get(DIGEST)
    if digest not in (None, extension.source.digest):
        raise ValueError(
            f"found the {kind} '{extension.name}' in {extension.source.name} with the digest "
            f"{extension.source.digest[:12]}, expected {str(digest)[:12]}, with which the results were computed"
        )
    own = {key: value for key, value in values.items() if key != DIGEST}
    known = {field.alias or name for name, field in extension.options.model_fields.items()}
    unknown = sorted(set(map(str, own)) - known)
    if unknown:
        raise ValueError(f"found the unknown key '{unknown[0]}', expected one of {', '.join(sorted(known))}")
    options: Options = extension.options.model_validate(own)
    return options


def _type_of_section(
    kind: Kind, base: type[Options] = Options, is_optional: bool = False, builtin: Sequence[str] = ()
) -> Any:
    name: dict[str, Any] = {"type": "string"}
    if builtin:
        # Editors need one alternative for each value.
        name["not"] = {"enum": list(builtin)}
    section: dict[str, Any] = {"type": "object", "required": ["type"], "properties": {"type": name}}
    kinds = [name, section, *([{"type": "null"}] if is_optional else [])]
    return Annotated[
        base | None if is_optional else base,
        PlainValidator(lambda value: None if is_optional and value is None else read_section(kind, value)),
        PlainSerializer(
            lambda options: None if options is None else options.model_dump(mode="json", by_alias=True)
        ),
        WithJsonSchema({"anyOf": kinds}),
    ]


if TYPE_CHECKING:
    PredictorSection = Options | None
    LossSection = Options | None
    PostProcessorSection = Options | None
    EvaluatorSection = Options | None
    ReaderSection = Options | None
else:
    PredictorSection = _type_of_section("predictor", is_optional=True)
    LossSection = _type_of_section("loss", is_optional=True)
    PostProcessorSection = _type_of_section("post_processor", is_optional=True)
    EvaluatorSection = _type_of_section("evaluator", is_optional=True)
    ReaderSection = _type_of_section("reader", is_optional=True)


def extend_type(
    builtin: Any,
    kind: Kind,
    is_builtin: Callable[[Any], bool],
    names: Sequence[str],
    base: type[Options] = Options,
) -> Any:
    """Return the type of a key whose value is a part of Attacca or an extension.

    Args:
        builtin: the type of the parts of Attacca.
        kind: kind of the extension.
        is_builtin: whether a value, before or after its validation, is a part of Attacca.
        names: names of the parts of Attacca.
        base: base class of the options.
    """
    section: Any = Annotated[_type_of_section(kind, base, builtin=names), Tag(_TAG)]
    own: Any = Annotated[builtin, Tag("[builtin]")]
    return Annotated[
        own | section,
        Discriminator(lambda value: "[builtin]" if is_builtin(value) else _TAG),
    ]
