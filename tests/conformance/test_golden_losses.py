"""Losses and their gradients by DaCapo's formulae: the golden values."""

from typing import Any

import numpy as np
import pytest
import torch

from attacca.errors import ConfigurationError
from attacca.losses import AffinitiesLoss, DummyLoss, HotDistanceLoss, Loss, MSELoss


@pytest.mark.golden_case("losses")
def test_losses_and_their_gradients(case: Any) -> None:
    arrays = (torch.from_numpy(case.inputs[f"in_{name}"]) for name in ("pred", "target", "weight"))
    given, target, weight = arrays

    def value_and_gradient(loss: Loss, channels: int | None = None) -> tuple[float, np.ndarray]:
        prediction = given.clone().requires_grad_()
        value = loss.compute(prediction[:, :channels], target, weight)
        value.backward()
        assert prediction.grad is not None
        return value.item(), prediction.grad.numpy()

    for name in [name for name in case.inline if name.startswith("loss_affs") and "missing" not in name]:
        number, ratio = name.removeprefix("loss_affs").split("_ratio")
        loss: Loss = AffinitiesLoss(int(number), float(ratio), reduction="reference")
        value, gradient = value_and_gradient(loss)
        case.compare(name, value)
        case.compare(name.replace("loss_", "out_grad_"), gradient)
    losses: dict[str, Loss] = {
        "mse": MSELoss("reference"),
        "dummy": DummyLoss("reference"),
        "hot": HotDistanceLoss("reference"),
    }
    for name, loss in losses.items():
        value, gradient = value_and_gradient(loss)
        case.compare(f"loss_{name}", value)
        case.compare(f"out_grad_{name}", gradient)

    missing = AffinitiesLoss(3, 1.0, reduction="reference")
    value, gradient = value_and_gradient(missing, channels=3)
    case.compare("loss_affs_missing_aux", value)
    case.compare("out_grad_affs_missing_aux", gradient)
    with pytest.raises(ConfigurationError):
        AffinitiesLoss(3, 1.0).compute(given[:, :3], target, weight)

    case.compare_error(
        "loss_hot_odd",
        lambda: HotDistanceLoss().compute(given[:, :11], target[:, :11], weight[:, :11]),
        ConfigurationError,
    )
