"""What the configuration's models say about themselves: a schema for editors, a page for people.

Both are made from the models alone, so that they cannot say anything else than what is checked.
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
    """The JSON schema of a model as text: editors complete and check configuration files with it."""
    schema = model.model_json_schema(by_alias=True)
    # Places for YAML anchors, which are taken out before the model sees the file.
    schema["patternProperties"] = {"^x-": {}}
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


@dataclass(frozen=True)
class _Section:
    """A model at its place in the file.

    Attributes:
        name: of the model.
        paths: key paths at which it stands, with ``NAME`` for names that users choose.
        tag: ``type: affinities``, where several models may stand at the place; else empty.
    """

    name: str
    paths: tuple[str, ...]
    tag: str


def build_reference_page(model: type[BaseModel], title: str = "Configuration") -> str:
    """The reference of a configuration file as Markdown: a section for each model, a row for each key.

    Args:
        model: of the whole file.
        title: of the page.
    """
    schema = model.model_json_schema(by_alias=True)
    definitions: Schema = schema.get("$defs", {})
    lines = [
        f"# {title}",
        "",
        "<!-- This page is generated from the models: python -m attacca.config.documentation docs -->",
        "",
        "Every key that a configuration file may hold. A key that is not here is an error, and so is a",
        "value of another type; all problems are reported at once. Keys at the top that begin with `x-` are",
        "places for YAML anchors and are not read. Editors that know JSON schemas complete and check the",
        f"file with `{SCHEMA_FILE}`: put this line at its top, with the path as it is seen from the file",
        f"(`../docs/{SCHEMA_FILE}` from `my/config.yaml`).",
        "",
        "```yaml",
        f"# yaml-language-server: $schema=docs/{SCHEMA_FILE}",
        "```",
        "",
        "`NAME` stands for a name that you choose. Paths are relative to the configuration file.",
        "",
    ]
    sections = _sections(schema, definitions)
    lines += [f"- [{_heading(section)}]({_anchor(section)})" for section in sections] + [""]
    lines += ["## The file", "", *_body(schema, definitions, sections)]
    for section in sections:
        heading = _heading(section)
        lines += [f"## {heading}", ""]
        if len(section.paths) > 1:
            lines += ["Also at " + ", ".join(f"`{path}`" for path in section.paths[1:]) + ".", ""]
        lines += _body(definitions[section.name], definitions, sections)
    return "\n".join(lines).rstrip("\n") + "\n"


def _heading(section: _Section) -> str:
    return f"`{section.paths[0]}`" + (f" with `{section.tag}`" if section.tag else "")


def _anchor(section: _Section) -> str:
    # As GitHub makes anchors: lower case, spaces become hyphens, all else but letters, digits, - and _ is
    # dropped.
    text = _heading(section).lower().replace(" ", "-")
    return "#" + "".join(character for character in text if character.isalnum() or character in "-_")


def _sections(root: Schema, definitions: Schema) -> list[_Section]:
    """All models below the root, each once, in the order in which a reader of the file meets them."""
    found: dict[str, _Section] = {}

    def visit(schema: Schema, path: str) -> None:
        for key, value in schema.get("properties", {}).items():
            for name, suffix, tag in _references(value, definitions):
                place = f"{path}.{key}{suffix}".lstrip(".")
                old = found.get(name)
                if old is None:
                    found[name] = _Section(name, (place,), tag)
                    visit(definitions[name], place)
                elif place not in old.paths:
                    found[name] = _Section(name, (*old.paths, place), old.tag)

    visit(root, "")
    return list(found.values())


def _references(value: Schema, definitions: Schema) -> Iterator[tuple[str, str, str]]:
    """Models that may stand as a value: name, what the path is extended by, and how they are told apart."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        if "properties" in definitions[name]:
            yield name, "", ""
        else:
            yield from _references(definitions[name], definitions)
    for part in [*value.get("anyOf", []), *value.get("oneOf", []), *value.get("allOf", [])]:
        for name, suffix, _ in _references(part, definitions):
            yield name, suffix, _tag(definitions[name]) if len(_choices(value)) > 1 else ""
    if isinstance(value.get("items"), Mapping):
        for name, suffix, tag in _references(value["items"], definitions):
            yield name, "[]" + suffix, tag
    if isinstance(value.get("additionalProperties"), Mapping):
        for name, suffix, tag in _references(value["additionalProperties"], definitions):
            yield name, ".NAME" + suffix, tag


def _choices(value: Schema) -> list[Schema]:
    parts = [*value.get("anyOf", []), *value.get("oneOf", [])]
    return [part for part in parts if part.get("type") != "null"]


def _tag(definition: Schema) -> str:
    """The key with one possible value by which a model is told apart from its neighbors."""
    for key, value in definition.get("properties", {}).items():
        if "const" in value:
            return f"{key}: {value['const']}"
    return ""


def _body(schema: Schema, definitions: Schema, sections: Sequence[_Section]) -> list[str]:
    lines = []
    if schema.get("description"):
        lines += [_paragraph(schema["description"]), ""]
    properties = schema.get("properties", {})
    if not properties:
        return lines
    required = set(schema.get("required", []))
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in properties.items():
        default = "**required**" if key in required else _default(value)
        meaning = _paragraph(value.get("description", ""))
        cells = (f"`{key}`", _type_text(value, definitions, sections), default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return [*lines, ""]


def _paragraph(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _default(value: Schema) -> str:
    if "default" not in value:
        return "its own defaults" if "$ref" in value or "properties" in value else "empty"
    default = value["default"]
    if default is None:
        return "not set"
    if default == "":
        return "empty"
    text = json.dumps(default)
    return f"`{text if isinstance(default, list | dict | bool | int | float) else default}`"


def _type_text(value: Schema, definitions: Schema, sections: Sequence[_Section]) -> str:
    if "$ref" in value:
        return _referenced(value["$ref"].rsplit("/", 1)[-1], definitions, sections)
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{item}`" for item in value["enum"])
    choices = _choices(value)
    if choices:
        return " or ".join(dict.fromkeys(_type_text(part, definitions, sections) for part in choices))
    if len(value.get("allOf", [])) == 1:
        return _type_text(value["allOf"][0], definitions, sections)
    kind = value.get("type")
    if kind == "array":
        return _list_text(value, definitions, sections)
    if kind == "object" and isinstance(value.get("additionalProperties"), Mapping):
        return "mapping of names to " + _type_text(value["additionalProperties"], definitions, sections)
    if kind == "string" and value.get("format") == "path":
        return "path"
    limits = [text.format(f"{value[key]:g}") for key, text in _LIMITS if key in value]
    name = _TYPES.get(str(kind), "any value")
    return name + (", " + ", ".join(limits) if limits else "")


def _referenced(name: str, definitions: Schema, sections: Sequence[_Section]) -> str:
    section = next((section for section in sections if section.name == name), None)
    if section is None:
        return _type_text(definitions[name], definitions, sections)
    shown = f"`{section.tag}`" if section.tag else f"`{section.paths[0]}`"
    return f"[{shown}]({_anchor(section)})"


def _list_text(value: Schema, definitions: Schema, sections: Sequence[_Section]) -> str:
    if isinstance(value.get("prefixItems"), list):
        parts = [_type_text(part, definitions, sections) for part in value["prefixItems"]]
        return "list [" + ", ".join(parts) + "]"
    items = value.get("items")
    text = "list"
    if isinstance(items, Mapping):
        text = f"list of {_plural(_type_text(items, definitions, sections))}"
    low, high = value.get("minItems"), value.get("maxItems")
    if low is not None and low == high:
        return f"{text}, {low} of them"
    if low:
        text += f", {low} or more"
    return text


def _plural(text: str) -> str:
    first, comma, rest = text.partition(",")
    return (f"{first}s" if first in ("whole number", "number", "text", "path") else first) + comma + rest


def write_documentation(model: type[BaseModel], directory: Path | str) -> list[Path]:
    """Write the schema and the page of reference into a directory; returns their paths."""
    pages = {SCHEMA_FILE: build_json_schema(model), REFERENCE_FILE: build_reference_page(model)}
    for name, text in pages.items():
        write_text(Path(directory) / name, text)
    return [Path(directory) / name for name in pages]


def find_outdated_files(model: type[BaseModel], directory: Path | str) -> list[str]:
    """Names of the files of ``write_documentation`` that are missing, or differ from what it would write."""
    pages = {SCHEMA_FILE: build_json_schema(model), REFERENCE_FILE: build_reference_page(model)}
    found = []
    for name, text in pages.items():
        path = Path(directory) / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            found.append(name)
    return found


if __name__ == "__main__":
    from attacca.config.run import Configuration

    for written in write_documentation(Configuration, sys.argv[1] if len(sys.argv) > 1 else "docs"):
        print(written)
