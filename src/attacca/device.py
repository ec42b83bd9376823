"""Device on which a network is trained or applied."""

import os

import torch

from attacca.errors import DeviceError


def choose_device(requested: str = "auto", index: int = 0, key: str = "device") -> torch.device:
    """Return the device that a configuration requests.

    Args:
        requested: ``auto`` (a GPU if there is one, otherwise the CPU), ``cpu``, ``mps``, ``cuda``, or a numbered GPU such
            as ``cuda:1``.
        index: number of this process among those that share the machine; ``auto`` and ``cuda`` assign the GPUs to
            these processes in turn.
        key: the configuration key, for the message.

    Raises:
        DeviceError: the machine does not have the requested GPU.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    has_gpu = torch.cuda.is_available()
    if requested == "auto":
        requested = "cuda" if has_gpu else "cpu"
    if not requested.startswith("cuda"):
        return torch.device(requested)
    if not has_gpu:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise DeviceError(
            f"{key}: found '{requested}', but torch finds no GPU on this machine"
            + (f" (CUDA_VISIBLE_DEVICES is '{visible}')" if visible is not None else "")
            + ". Use auto or cpu, request a GPU from the cluster (execution.gpus), or check the driver (nvidia-smi) and "
            "that torch was installed with CUDA"
        )
    count = torch.cuda.device_count()
    number = requested.partition(":")[2]
    if number and int(number) >= count:
        raise DeviceError(
            f"{key}: found '{requested}', but this machine has {count} GPUs, counted from 0",
            fix=f"use cuda:{count - 1} or lower, cuda or auto",
        )
    return torch.device("cuda", int(number) if number else index % count)


def describe_device(device: torch.device) -> str:
    """Return the name of a device for reports: ``cpu``, or number and model of a GPU."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
