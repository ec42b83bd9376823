"""A training step of networks that ``torch.compile`` has compiled, compared with the networks as they are.

    python benchmarks/compiled_network.py > benchmarks/compiled_network.txt

Steps of both take turns, in one thread. The compilation needs a C++ compiler.
"""

import os
import statistics
import time

# Otherwise a second run reads what the first one has compiled.
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"

import torch
from networks import NETWORKS, measure_seconds, run_step

from attacca.architectures.unet import UNet
from attacca.config.architecture import UNetConfig
from attacca.freed_memory import keep_freed_memory

COMPARED = ("full 12-24-48, batch", "half 24-48-96, batch")
TURNS = 12


def main() -> None:
    """Print the medians of both."""
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    print("| network | compilation, s | step as it is, CPU s | compiled | ratio |\n|---|---|---|---|---|")
    for name in COMPARED:
        architecture = UNet(UNetConfig.model_validate(NETWORKS[name][0]))
        head = torch.nn.Conv3d(architecture.num_out_channels, 19, 1)
        model = torch.nn.Sequential(architecture, head).to(memory_format=torch.channels_last_3d).train()
        samples = torch.rand((2, 1, *architecture.input_shape)).contiguous(
            memory_format=torch.channels_last_3d
        )
        compiled = torch.compile(model)
        started = time.perf_counter()
        run_step(compiled, samples)
        compilation = time.perf_counter() - started
        turns = [
            (measure_seconds(run_step, model, samples), measure_seconds(run_step, compiled, samples))
            for _ in range(TURNS)
        ]
        plain, fast = (statistics.median(column) for column in zip(*turns))
        print(f"| {name} | {compilation:.0f} | {plain:.3f} | {fast:.3f} | {plain / fast:.2f} |", flush=True)


if __name__ == "__main__":
    main()
