"""Each command of ``docs/tutorial.md``, in its order, on files like those that the page describes."""

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile

from local_servers import find_free_port
from proposed_data import make_cells, write_tiff

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
SECOND = (40, 40, 44)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def list_commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with an environment, and the files of the page."""
    directory = tmp_path_factory.mktemp("tutorial")
    for name in ("Snakefile", "rules", "profiles", "src"):
        (directory / name).symlink_to(ROOT / name)
    # The environment exists, so only the last command of the script is left.
    lines = (ROOT / "run").read_text().splitlines()
    steps = [line for line in lines if line.startswith(("#!", "cd ", "venv=", "exec "))]
    assert len(steps) == 4
    (directory / "run").write_text("\n".join(steps))
    (directory / "run").chmod(0o755)
    (directory / "my" / "data").mkdir(parents=True)
    for number, (name, shape) in enumerate(
        [
            ("data/cube1", (48, 48, 48)),
            ("data/cube2", (40, 40, 40)),
            ("data/stack", (40, 48, 44)),
            ("second", SECOND),
        ]
    ):
        raw, labels = make_cells(shape, number)
        has_labels = "cube" in name
        suffix = "_raw" if "data" in name else ""
        write_tiff(directory / "my" / f"{name}{suffix}.tif", raw, (16, 16, 16))
        if has_labels:
            write_tiff(directory / "my" / f"{name}_labels.tif", labels, (16, 16, 16))
    return directory


@pytest.fixture(scope="module")
def environment(project: Path, warm_python) -> dict[str, str]:
    """The environment of ``.venv/bin/activate``, whose commands are forks of a warm interpreter."""
    binaries = project / ".venv" / "bin"
    binaries.mkdir(parents=True)
    python = warm_python().python
    for name, module in (("attacca", "attacca.cli.main"), ("snakemake", "snakemake")):
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec {python} -m {module} "$@"\n')
        script.chmod(0o755)
    (binaries / "activate").write_text(f"PATH={binaries}:$PATH\n")
    return warm_python().environment({**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"})


def run(command: str, project: Path, environment: dict[str, str]) -> str:
    """Return the output of a command that must succeed; of ``attacca view``, the lines before it waits."""
    script = f". .venv/bin/activate\n{command}"
    if not command.startswith("attacca view"):
        done = subprocess.run(
            ["bash", "-ec", script], cwd=project, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
        return done.stdout + done.stderr
    port = str(find_free_port())
    viewer = [sys.executable, "-m", "attacca.cli.main", *command.split()[1:], "--no-browser", "--port", port]
    process = subprocess.Popen(
        viewer,
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell in the background ignores Ctrl-C, and its processes inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "http" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    return "".join(lines)


def test_every_command_of_the_tutorial_does_what_the_page_says(project: Path, environment) -> None:
    outputs = {command: run(command, project, environment) for command in list_commands()}
    assert {command.split()[1] for command in outputs if command.startswith("attacca")} == {
        *("init", "check", "plan", "status", "summary", "view", "model", "apply"),
    }
    assert "http" in outputs["attacca view my/results"]
    assert "stack" in outputs["attacca summary my/results"]
    assert (project / "my" / "results" / "report.html").is_file()
    full = (project / "my" / "config.yaml.full").read_text()
    assert full != (project / "my" / "config.yaml").read_text()
    segments = tifffile.imread(project / "my/second/applied/second/export/segmentation.tif")
    assert segments.shape == SECOND and np.any(segments)
    for path in re.findall(r"`(my/[^` ]+)`", PAGE.read_text()):
        assert (project / path).exists(), path
