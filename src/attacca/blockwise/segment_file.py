"""Python file of a user's segmentation function."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from attacca.errors import ConfigurationError, MissingInputError
from attacca.fingerprint import digest


def load_segment_file(path: Path) -> ModuleType:
    """Import the file of a segmentation function.

    Raises:
        MissingInputError: the file is missing.
        ConfigurationError: the file cannot be imported, or lacks the functions.
    """
    if not path.is_file():
        raise MissingInputError(
            f"{path}: no such file; expected Python with a segment_function",
            fix="correct segment_function_file",
        )
    name = f"attacca_segment_{digest(str(path.absolute()))[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is not a Python file", fix="give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigurationError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    has_worker = hasattr(module, "spawn_worker") and hasattr(module, "start_worker")
    if not hasattr(module, "segment_function") and not has_worker:
        raise ConfigurationError(
            f"{path} defines neither segment_function(input_array, block, **parameters) nor the pair "
            "spawn_worker and start_worker"
        )
    return module
