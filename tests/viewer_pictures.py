"""Pictures of the panels of ``attacca view`` in a browser without a window."""

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from local_servers import find_free_port

_PANEL = """
const panels = [...document.querySelectorAll(".neuroglancer-rendered-data-panel")].map(p => p.getBoundingClientRect());
return panels.map(p => [p.left, p.top, p.right, p.bottom]);
"""


@contextmanager
def serve(results: Path, run: str, volume: str) -> Iterator[str]:
    """Start ``attacca view`` and return the address that it prints."""
    port = find_free_port()
    command = [sys.executable, "-m", "attacca.cli.main", "view", str(results), "--no-browser"]
    command += ["--run", run, "--volume", volume, "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        address = re.search(r"in Neuroglancer: (\S+)", process.stdout.readline())
        assert address
        yield address[1]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def photograph(
    address: str, is_ready: Callable[[np.ndarray], bool], file: Path, is_plane: bool = False
) -> np.ndarray:
    """Open an address in Chromium, and return a panel as soon as it is ready, or after two minutes.

    Args:
        address: address of a viewer with four panels.
        is_ready: predicate of the pixels of the panel, uint8, shape (y, x, 3).
        file: PNG file of the whole page.
        is_plane: return the panel of the plane y, x instead of the 3D panel.
    """
    webdriver = pytest.importorskip("selenium.webdriver")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("chromium is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("headless=new", "no-sandbox", "window-size=1200,900", "force-device-scale-factor=1"):
        options.add_argument(f"--{argument}")
    for argument in ("use-gl=angle", "use-angle=swiftshader", "enable-unsafe-swiftshader"):
        options.add_argument(f"--{argument}")
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        chrome.get(address)
        limit = time.monotonic() + 120
        while True:
            time.sleep(1)
            page = np.asarray(Image.open(io.BytesIO(chrome.get_screenshot_as_png())).convert("RGB"))
            panels = chrome.execute_script(_PANEL)
            if len(panels) == 4:
                # The panels form two rows: xy is the first, 3D the last.
                panels.sort(key=lambda box: (box[1], box[0]))
                left, top, right, bottom = (int(edge) for edge in panels[0 if is_plane else -1])
                panel = page[top + 2 : bottom - 2, left + 2 : right - 2]
                if is_ready(panel) or time.monotonic() > limit:
                    Image.fromarray(page).save(file)
                    return panel
            assert time.monotonic() < limit, f"{len(panels)} panels after two minutes"
    finally:
        chrome.quit()


def find_segment(panel: np.ndarray, segment: int) -> np.ndarray:
    """Return the pixels that have the color in which Neuroglancer shows a segment, at any brightness.

    Args:
        panel: uint8, shape (y, x, 3).
        segment: id.

    Returns:
        bool, shape (y, x).
    """
    from neuroglancer.segment_colors import hex_string_from_segment_id

    text = hex_string_from_segment_id(0, segment)
    color = np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)], dtype=np.float64)
    pixels = panel.astype(np.float64)
    length = np.linalg.norm(pixels, axis=-1)
    direction = pixels / np.maximum(length, 1)[..., None]
    distance = np.linalg.norm(direction - color / np.linalg.norm(color), axis=-1)
    return (length > 60) & (distance < 0.04)
