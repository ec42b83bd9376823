"""Extensions: parts of Attacca in a file beside the configuration, or in an installed package."""

from attacca.extensions.loading import (
    ENTRY_POINTS,
    VARIABLE,
    adopt_extensions,
    forget_extensions,
    load_extension,
    require_extension,
)
from attacca.extensions.registry import Extension, ExtensionSource, Kind, find_extension, register
from attacca.extensions.trace import explain_failure, locate_failure

__all__ = [
    "ENTRY_POINTS",
    "VARIABLE",
    "Extension",
    "ExtensionSource",
    "Kind",
    "adopt_extensions",
    "explain_failure",
    "find_extension",
    "forget_extensions",
    "load_extension",
    "locate_failure",
    "register",
    "require_extension",
]
