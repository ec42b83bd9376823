"""The extensions that ``docs/extending.md`` shows, and a configuration that uses all of them."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from tiny_configuration import tiny_configuration

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
NAMES = ("interior.py", "absolute.py", "pair.py", "above.py", "agreement.py", "numpy_file.py")

FILES = dict(zip(NAMES, re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL), strict=True))
"""The examples of the page, in their order: text of each file by its name."""
LOSS, EVALUATOR = FILES["absolute.py"], FILES["agreement.py"]


def write_project(directory: Path, **execution: Any) -> dict[str, Any]:
    """Write the extensions and an image to a directory, and return a configuration that uses them.

    Args:
        directory: an empty directory.
        execution: further keys of the section ``execution``.
    """
    for name, text in FILES.items():
        (directory / name).write_text(text)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 32), np.uint8)
    np.save(directory / "tested.npy", image)
    configuration = tiny_configuration()
    run = configuration["runs"]["tiny"]
    del run["segmentation"]
    run["task"] = {
        "type": "distance",
        "channels": ["inside"],
        "clip_distance": 50,
        "tol_distance": 10,
        "predictor": "interior",
        "loss": "absolute",
        "post_processor": {"type": "above"},
        "evaluator": "agreement",
    }
    run["architecture"] = {"type": "pair", "input_shape": [24, 24, 24]}
    tested = {"raw": {"path": "tested.npy", "reader": "numpy"}, "voxel_size": [8, 8, 8]}
    configuration["volumes"]["tested"] = tested
    return {"extensions": list(FILES), **configuration, "execution": {"threads": 1, **execution}}
