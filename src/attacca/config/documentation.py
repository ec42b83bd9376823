"""JSON schema and reference page of the configuration, generated from its models.

Run ``python -m attacca.config.documentation docs`` after a change of a model or its docstrings.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from attacca.atomic import write_text

SCHEMA_FILE = "config.schema.json"
REFERENCE_FILE = "configuration.md"

Schema = Mapping[str, Any]

_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "nothing",
    "object": "mapping",
    "array": "list",
}
_LIMITS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
)


def build_json_schema(model: type[BaseModel]) -> str:
    """Return the JSON schema of a model as text, for editors that complete and check configuration files."""
    schema = model.model_json_schema(by_alias=True)
    # Keys with YAML anchors, which are removed before validation.
    schema["patternProperties"] = {"^x-": {}}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


@dataclass(frozen=True)
class _Section:
    """A model with its keys in the file.

    Attributes:
        name: name of the model.
        paths: key paths of the model, with ``NAME`` for names that users choose.
        tag: ``type: affinities`` if several models are possible at the key; otherwise empty.
    """

    name: str
    paths: tuple[str, ...]
    tag: str


def build_reference_page(model: type[BaseModel], title: str = "Configuration") -> str:
    """Return the reference of a configuration file as Markdown: one section per model, one row per key.

    Args:
        model: model of the whole file.
        title: title of the page.
    """
    schema = model.model_json_schema(by_alias=True)
    definitions: Schema = schema.get("$defs", {})
    lines = [
        f"# {title}",
        "",
        "<!-- This page is generated from the models: python -m attacca.config.documentation docs -->",
        "",
        "All keys of a configuration file. An unknown key or a value of another type is an error; all problems",
        "are reported at once. Keys at the top that begin with `x-` hold YAML anchors and are not read. Editors",
        f"that support JSON schemas complete and check the file with `{SCHEMA_FILE}`: add this line at its top,",
        f"with the path relative to the file (`../docs/{SCHEMA_FILE}` for `my/config.yaml`).",
        "",
        "```yaml",
        f"# yaml-language-server: $schema=docs/{SCHEMA_FILE}",
        "```",
        "",
        "`NAME` is a name that you choose. Paths are relative to the configuration file.",
        "",
    ]
    sections = _list_sections(schema, definitions)
    lines += [f"- [{_format_heading(section)}]({_format_anchor(section)})" for section in sections] + [""]
    lines += ["## The file", "", *_format_body(schema, definitions, sections)]
    for section in sections:
        heading = _format_heading(section)
        lines += [f"## {heading}", ""]
        if len(section.paths) > 1:
            lines += ["Also at " + ", ".join(f"`{path}`" for path in section.paths[1:]) + ".", ""]
        lines += _format_body(definitions[section.name], definitions, sections)
    return "\n".join(lines).rstrip("\n") + "\n"


def _format_heading(section: _Section) -> str:
    return f"`{section.paths[0]}`" + (f" with `{section.tag}`" if section.tag else "")


def _format_anchor(section: _Section) -> str:
    # The anchor of a heading on GitHub: lower case, hyphens for spaces, without other punctuation.
    text = _format_heading(section).lower().replace(" ", "-")
    return "#" + "".join(character for character in text if character.isalnum() or character in "-_")


def _list_sections(root: Schema, definitions: Schema) -> list[_Section]:
    """Return all models below the root, each once, in the order of their first key."""
    sections: dict[str, _Section] = {}

    def visit(schema: Schema, path: str) -> None:
        for key, value in schema.get("properties", {}).items():
            for name, suffix, tag in _find_models(value, definitions):
                key_path = f"{path}.{key}{suffix}".lstrip(".")
                known = sections.get(name)
                if known is None:
                    sections[name] = _Section(name, (key_path,), tag)
                    visit(definitions[name], key_path)
                elif key_path not in known.paths:
                    sections[name] = _Section(name, (*known.paths, key_path), known.tag)

    visit(root, "")
    return list(sections.values())


def _find_models(value: Schema, definitions: Schema) -> Iterator[tuple[str, str, str]]:
    """Yield the models of a value: name, suffix of the key path, and tag."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        if "properties" in definitions[name]:
            yield name, "", ""
        else:
            yield from _find_models(definitions[name], definitions)
    for part in [*value.get("anyOf", []), *value.get("oneOf", []), *value.get("allOf", [])]:
        for name, suffix, _ in _find_models(part, definitions):
            yield name, suffix, _find_tag(definitions[name]) if len(_list_choices(value)) > 1 else ""
    if isinstance(value.get("items"), Mapping):
        for name, suffix, tag in _find_models(value["items"], definitions):
            yield name, "[]" + suffix, tag
    if isinstance(value.get("additionalProperties"), Mapping):
        for name, suffix, tag in _find_models(value["additionalProperties"], definitions):
            yield name, ".NAME" + suffix, tag


def _list_choices(value: Schema) -> list[Schema]:
    parts = [*value.get("anyOf", []), *value.get("oneOf", [])]
    return [part for part in parts if part.get("type") != "null"]


def _find_tag(definition: Schema) -> str:
    """Return the key with a single possible value that distinguishes a model from its alternatives."""
    for key, value in definition.get("properties", {}).items():
        if "const" in value:
            return f"{key}: {value['const']}"
    return ""


def _format_body(schema: Schema, definitions: Schema, sections: Sequence[_Section]) -> list[str]:
    lines = []
    if schema.get("description"):
        lines += [_format_paragraph(schema["description"]), ""]
    properties = schema.get("properties", {})
    if not properties:
        return lines
    required = set(schema.get("required", []))
    alternatives = [key for part in schema.get("anyOf", []) for key in part.get("required", [])]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in properties.items():
        default = "**required**" if key in required else _format_default(value)
        if key in alternatives:
            default = "**required**, or " + " or ".join(
                f"`{other}`" for other in alternatives if other != key
            )
        meaning = _format_paragraph(value.get("description", ""))
        cells = (f"`{key}`", _format_type(value, definitions, sections), default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def _format_paragraph(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _format_default(value: Schema) -> str:
    if "default" not in value:
        return "its own defaults" if "$ref" in value or "properties" in value else "empty"
    default = value["default"]
    if default is None:
        return "not set"
    if default == "":
        return "empty"
    text = json.dumps(default)
    return f"`{text if isinstance(default, list | dict | bool | int | float) else default}`"


def _format_type(value: Schema, definitions: Schema, sections: Sequence[_Section]) -> str:
    if "$ref" in value:
        return _format_reference(value["$ref"].rsplit("/", 1)[-1], definitions, sections)
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{item}`" for item in value["enum"])
    choices = _list_choices(value)
    if choices:
        return " or ".join(dict.fromkeys(_format_type(part, definitions, sections) for part in choices))
    if len(value.get("allOf", [])) == 1:
        return _format_type(value["allOf"][0], definitions, sections)
    kind = value.get("type")
    if kind == "array":
        return _format_list(value, definitions, sections)
    if kind == "object" and isinstance(value.get("additionalProperties"), Mapping):
        return "mapping of names to " + _format_type(value["additionalProperties"], definitions, sections)
    if kind == "string" and value.get("format") == "path":
        return "path"
    limits = [text.format(f"{value[key]:g}") for key, text in _LIMITS if key in value]
    name = _TYPES.get(str(kind), "any value")
    return name + (", " + ", ".join(limits) if limits else "")


def _format_reference(name: str, definitions: Schema, sections: Sequence[_Section]) -> str:
    section = next((section for section in sections if section.name == name), None)
    if section is None:
        return _format_type(definitions[name], definitions, sections)
    text = f"`{section.tag}`" if section.tag else f"`{section.paths[0]}`"
    return f"[{text}]({_format_anchor(section)})"


def _format_list(value: Schema, definitions: Schema, sections: Sequence[_Section]) -> str:
    if isinstance(value.get("prefixItems"), list):
        parts = [_format_type(part, definitions, sections) for part in value["prefixItems"]]
        return "list [" + ", ".join(parts) + "]"
    items = value.get("items")
    text = "list"
    if isinstance(items, Mapping):
        text = f"list of {_pluralize(_format_type(items, definitions, sections))}"
    low, high = value.get("minItems"), value.get("maxItems")
    if low is not None and low == high:
        return f"{text}, {low} of them"
    if low:
        text += f", {low} or more"
    return text


def _pluralize(text: str) -> str:
    first, comma, rest = text.partition(",")
    return (f"{first}s" if first in ("whole number", "number", "text", "path") else first) + comma + rest


def write_documentation(model: type[BaseModel], directory: Path | str) -> list[Path]:
    """Write the schema and the reference page to a directory and return their paths."""
    pages = {SCHEMA_FILE: build_json_schema(model), REFERENCE_FILE: build_reference_page(model)}
    for name, text in pages.items():
        write_text(Path(directory) / name, text)
    return [Path(directory) / name for name in pages]


def find_outdated_files(model: type[BaseModel], directory: Path | str) -> list[str]:
    """Return the names of the files of ``write_documentation`` that are missing or out of date."""
    pages = {SCHEMA_FILE: build_json_schema(model), REFERENCE_FILE: build_reference_page(model)}
    names = []
    for name, text in pages.items():
        path = Path(directory) / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            names.append(name)
    return names


if __name__ == "__main__":
    # deferred: only the command needs all models
    from attacca.config.run import Configuration

    for written in write_documentation(Configuration, sys.argv[1] if len(sys.argv) > 1 else "docs"):
        print(written)
