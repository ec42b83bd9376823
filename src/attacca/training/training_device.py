"""Device, arithmetic and rank of a process that trains."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attacca.config.training import TrainingConfig
from attacca.device import choose_device
from attacca.errors import ConfigurationError, DeviceError


@dataclass(frozen=True)
class TrainingDevice:
    """Device of this process, and its rank among the processes that train together.

    Args:
        device: of the network.
        dtype: of the network's arithmetic within autocast.
        rank, ranks: number of this process, and number of all processes.
    """

    device: torch.device
    dtype: torch.dtype
    rank: int = 0
    ranks: int = 1

    @property
    def is_first(self) -> bool:
        """True for the process that writes files."""
        return self.rank == 0

    def copy_to_device(self, array: np.ndarray) -> torch.Tensor:
        """Return a copy of an array on the device.

        The array is also copied on a CPU: vectorized kernels process the ends of an array according to the alignment
        of its address, so that the last digits of a result would depend on the alignment.
        """
        tensor = torch.from_numpy(array)
        return tensor.clone() if self.device.type == "cpu" else tensor.to(self.device, non_blocking=True)

    def autocast(self) -> torch.autocast:
        """Return the context of the forward pass and the loss."""
        enabled = self.dtype != torch.float32
        return torch.autocast(
            self.device.type, dtype=self.dtype if enabled else torch.bfloat16, enabled=enabled
        )


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the network's arithmetic; ``auto`` is bfloat16 on GPUs that support it, otherwise float32.

    Raises:
        ConfigurationError: float16 is requested on a CPU.

    >>> choose_dtype("auto", torch.device("cpu"))
    torch.float32
    """
    if precision == "auto":
        has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has_bfloat16 else torch.float32
    if precision == "float16" and device.type == "cpu":
        raise ConfigurationError("training.precision: float16 needs a GPU; use float32 (or auto)")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


@contextmanager
def set_up_device(config: TrainingConfig) -> Iterator[TrainingDevice]:
    """Configure torch for training: threads, deterministic kernels, process group; restore it afterwards.

    Under ``torchrun``, which sets ``WORLD_SIZE`` and ``LOCAL_RANK``, all processes train together.

    Args:
        config: device, precision and threads.

    Raises:
        DeviceError: the requested GPU does not exist, or there are more processes than GPUs.
        ConfigurationError: the device does not support the requested precision.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = choose_device(config.device, local_rank, "training.device")
    if device.type == "cuda" and local_rank >= torch.cuda.device_count():
        raise DeviceError(
            f"found {local_rank + 1} or more processes for {torch.cuda.device_count()} GPUs, expected one process per GPU: "
            "start torchrun with a smaller --nproc-per-node"
        )
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    fill_settings: Any = torch.utils.deterministic  # its attribute has no type
    fill = fill_settings.fill_uninitialized_memory
    torch.set_num_threads(config.torch_threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Deterministic kernels write all memory that is read; filling each new tensor first takes a sixth of a step.
    fill_settings.fill_uninitialized_memory = False
    if device.type == "cuda":
        torch.cuda.set_device(device)
    joined = ranks > 1 and not torch.distributed.is_initialized()
    if joined:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        rank = torch.distributed.get_rank() if ranks > 1 else 0
        yield TrainingDevice(device, choose_dtype(config.precision, device), rank, ranks)
    finally:
        if joined:
            torch.distributed.destroy_process_group()
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        fill_settings.fill_uninitialized_memory = fill
