"""Where a network learns: CPU or GPU, one process or several, and with which arithmetic."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attacca.config.training import TrainingConfig
from attacca.device import choose_device
from attacca.errors import ConfigurationError


@dataclass(frozen=True)
class Place:
    """The device of this process, and its place among those that train together.

    Args:
        device: of the network.
        dtype: of the network's arithmetic within autocast.
        rank, ranks: number of this process, and of all.
    """

    device: torch.device
    dtype: torch.dtype
    rank: int = 0
    ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """A copy of an array on the device.

        It is a copy on a CPU too: kernels treat the ends of vectors by the address of the first number, so
        that equal numbers at addresses that are aligned in another way may give other last digits.
        """
        tensor = torch.from_numpy(array)
        return tensor.clone() if self.device.type == "cpu" else tensor.to(self.device, non_blocking=True)

    def autocast(self) -> torch.autocast:
        """Context of the forward pass and the loss."""
        enabled = self.dtype != torch.float32
        return torch.autocast(
            self.device.type, dtype=self.dtype if enabled else torch.bfloat16, enabled=enabled
        )


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 on GPUs that compute with it, and float32 elsewhere.

    Raises:
        ConfigurationError: float16 on a CPU.
    """
    if precision == "auto":
        quick = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if quick else torch.float32
    if precision == "float16" and device.type == "cpu":
        raise ConfigurationError("training.precision: float16 needs a GPU; use float32 (or auto)")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]


@contextmanager
def training_place(config: TrainingConfig) -> Iterator[Place]:
    """The place of this process, with torch set up for it: threads, deterministic kernels, the process group.

    Under ``torchrun``, which sets ``WORLD_SIZE``, all processes train together.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    device = choose_device(config.device, int(os.environ.get("LOCAL_RANK", "0")), "training.device")
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    new_tensors: Any = torch.utils.deterministic  # whose attribute has no type
    filled = new_tensors.fill_uninitialized_memory
    torch.set_num_threads(config.torch_threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Deterministic kernels write all that is read; filling every new tensor first takes a sixth of a step.
    new_tensors.fill_uninitialized_memory = False
    if device.type == "cuda":
        torch.cuda.set_device(device)
    joined = ranks > 1 and not torch.distributed.is_initialized()
    if joined:
        torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        rank = torch.distributed.get_rank() if ranks > 1 else 0
        yield Place(device, choose_dtype(config.precision, device), rank, ranks)
    finally:
        if joined:
            torch.distributed.destroy_process_group()
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        new_tensors.fill_uninitialized_memory = filled
