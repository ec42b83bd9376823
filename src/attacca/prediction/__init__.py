"""Blockwise prediction of volumes by trained networks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attacca.prediction.load import load_network
    from attacca.prediction.network import Network
    from attacca.prediction.plan import (
        create_prediction_array,
        prediction_grid,
        prediction_memory,
    )
    from attacca.prediction.predict import PredictBlocks
    from attacca.prediction.sizes import PredictionPlan, plan_prediction

_HOMES = {
    "Network": "network",
    "PredictBlocks": "predict",
    "PredictionPlan": "sizes",
    "create_prediction_array": "plan",
    "load_network": "load",
    "plan_prediction": "sizes",
    "prediction_grid": "plan",
    "prediction_memory": "plan",
}

__all__ = [
    "Network",
    "PredictBlocks",
    "PredictionPlan",
    "create_prediction_array",
    "load_network",
    "plan_prediction",
    "prediction_grid",
    "prediction_memory",
]


def __getattr__(name: str) -> Any:
    # torch takes seconds to import: only those who use a network wait for it.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"attacca.prediction.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
