"""Random files of a finished run are damaged and deleted, and the same command repairs them."""

import json
import random
import re
import shutil
from pathlib import Path

import pytest

from attacca.config.load import load_configuration
from attacca.jobs.seals import read_seal
from attacca.workflow.damage import all_instances
from attacca.workflow.workflow import Workflow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FLIPS, DELETIONS = 30, 10

# The report shows the times of jobs, and a training that is repeated records its speed.
TIMES = re.compile(rb"[0-9]+ s(?=</td>)")
TIMED = ("small/training/timing.tsv", "small/training/tensorboard/")


def read_results(results: Path) -> dict[str, bytes]:
    """Content of all results, without logs, benchmarks, hidden files and the records of the start."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        is_result = name.parts[0] not in ("logs", "benchmarks", "machines", "workflow.json")
        if path.is_file() and is_result and name.name != "run.json" and not re.search(r"(^|/)\.", str(name)):
            found[str(name)] = path.read_bytes()
    found["report.html"] = TIMES.sub(b"", found["report.html"])
    return found


def test_the_same_command_names_and_repairs_flipped_and_deleted_files(finished, tmp_path):
    damaged = finished.copy(tmp_path / "damaged", finished.warm)
    before, draws = read_results(damaged.results), random.Random(8)
    workflow = Workflow(load_configuration(damaged.configuration))
    sealed = [read_seal(instance, workflow.layout) for instance in all_instances(workflow)]
    assert None not in sealed
    assert before.keys() <= {name for seal in sealed for name in seal.files}
    # Users may delete checkpoints other than the best and the latest; the training is not repeated.
    result = json.loads((damaged.results / "small/training.json").read_text())["result"]
    named = (result["best_file"], result["latest_file"])
    files = [name for name in before if not name.endswith(".pt") or Path(name).name in named]
    assert len(files) > 100
    chosen = draws.sample(files, FLIPS + DELETIONS)
    for name in chosen[:FLIPS]:
        path = damaged.results / name
        content = bytearray(path.read_bytes())
        content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        path.write_bytes(content)
    for name in chosen[FLIPS:]:
        (damaged.results / name).unlink()
    output = damaged.snakemake().stderr
    # A deleted manifest is computed again, too, and does not count as damage.
    found = int(re.search(r"^results: (\d+) of [\d,]+ files are damaged", output, re.MULTILINE)[1])
    uncounted = [name for name in chosen[FLIPS:] if name.endswith(".json")]
    assert FLIPS + DELETIONS - len(uncounted) <= found <= FLIPS + DELETIONS, output
    after = read_results(damaged.results)
    compared = {name for name in before.keys() | after.keys() if not name.startswith(TIMED)}
    assert sorted(name for name in compared if after.get(name) != before.get(name)) == []
    again = damaged.snakemake().stderr
    assert "Nothing to be done" in again
    assert "files are damaged" not in again


def test_the_same_command_computes_again_whatever_was_deleted_with_its_manifests(finished, tmp_path):
    project = finished.copy(tmp_path / "deleted", finished.warm)
    before = read_results(project.results)
    workflow = Workflow(load_configuration(project.configuration))
    tested = next(i for i in workflow.instances() if i.stage.name == "evaluate")
    run = project.results / tested.run
    shutil.rmtree(run / tested.volume)
    shutil.rmtree(run / f"{tested.volume}.zarr")
    assert "is missing; it is written again" in project.snakemake().stderr
    # In the middle of the chain, what comes after it is finished.
    predicted = next(
        i for i in workflow.instances() if i.stage.name == "predict" and i.volume == tested.volume
    )
    for path in (*predicted.arrays(workflow.layout), predicted.manifest(workflow.layout)):
        shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    project.snakemake()
    # `rm -r s0/*` keeps hidden files, such as the ledger.
    for path in Path(predicted.arrays(workflow.layout)[0]).glob("[!.]*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    predicted.manifest(workflow.layout).unlink()
    project.snakemake()
    # Of the two arrays of the targets, the one without the ledger; the training needs it. Then of a volume the labels.
    targets = next(i for i in workflow.instances() if i.stage.name == "targets" and i.volume == "taught")
    shutil.rmtree(targets.arrays(workflow.layout)[0])
    shutil.rmtree(run / "training")
    (run / "training.json").unlink()
    project.snakemake()
    shutil.rmtree(f"{workflow.layout.volume_image(tested.volume, 'labels')}/s0")
    (run / tested.volume / "scores.json").unlink()
    project.snakemake()
    after = read_results(project.results)
    compared = {name for name in before.keys() | after.keys() if not name.startswith(TIMED)}
    assert sorted(name for name in compared if after.get(name) != before.get(name)) == []
    assert "Nothing to be done" in project.snakemake().stderr
