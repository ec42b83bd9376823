"""Blockwise prediction of volumes by trained networks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attacca.prediction.loading import load_model, load_network
    from attacca.prediction.network import Network
    from attacca.prediction.predict_blocks import PredictBlocks
    from attacca.prediction.prediction_array import (
        create_prediction_array,
        estimate_memory,
        make_prediction_grid,
    )
    from attacca.prediction.sizes import PredictionSizes, choose_sizes

_MODULES = {
    "Network": "network",
    "PredictBlocks": "predict_blocks",
    "PredictionSizes": "sizes",
    "choose_sizes": "sizes",
    "create_prediction_array": "prediction_array",
    "load_model": "loading",
    "load_network": "loading",
    "make_prediction_grid": "prediction_array",
    "estimate_memory": "prediction_array",
}

__all__ = [
    "Network",
    "PredictBlocks",
    "PredictionSizes",
    "choose_sizes",
    "create_prediction_array",
    "estimate_memory",
    "load_model",
    "load_network",
    "make_prediction_grid",
]


def __getattr__(name: str) -> Any:
    # Sizes are needed before any network is: torch, which takes seconds to import, is loaded on first use.
    if name in _MODULES:
        return getattr(import_module(f"attacca.prediction.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
