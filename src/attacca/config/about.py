"""Configuration model of the ``about:`` section: authors, license and citation in a model file."""

import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from attacca.config.base import StrictModel


def _check_text(text: str) -> str:
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise ValueError(f"found the control character {character!a}, expected text")
    return text


def check_texts(value: Any) -> None:
    """Raise an error if a text among plain values, or a key, holds control characters.

    A terminal would obey the control characters of a text from a stranger.

    Raises:
        ValueError: names the character.
    """
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        check_texts(list(value))
        check_texts(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            check_texts(item)


Text = Annotated[str, Field(max_length=20_000), AfterValidator(_check_text)]


class AboutConfig(StrictModel):
    """Description of a model for those who use its file; it changes no result."""

    description: Text = ""
    """Tissue, imaging method and purpose."""
    authors: list[Text] = Field(default=[])
    """Names of the authors."""
    license: Text = ""
    """License of the weights, such as ``CC-BY-4.0`` (an SPDX identifier)."""
    citation: Text = ""
    """Publication to cite, as text or BibTeX."""
    url: Text = ""
    """Address with more information."""
