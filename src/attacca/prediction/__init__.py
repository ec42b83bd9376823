"""Blockwise prediction of volumes by trained networks."""

from typing import TYPE_CHECKING

from attacca.lazy_names import import_lazily

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
    "Network": "attacca.prediction.network",
    "PredictBlocks": "attacca.prediction.predict_blocks",
    "PredictionSizes": "attacca.prediction.sizes",
    "choose_sizes": "attacca.prediction.sizes",
    "create_prediction_array": "attacca.prediction.prediction_array",
    "load_model": "attacca.prediction.loading",
    "load_network": "attacca.prediction.loading",
    "make_prediction_grid": "attacca.prediction.prediction_array",
    "estimate_memory": "attacca.prediction.prediction_array",
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


# Sizes are needed before any network is: torch, which takes seconds to import, is loaded on first use.
__getattr__ = import_lazily(__name__, _MODULES)
