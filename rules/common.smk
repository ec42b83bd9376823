# The configuration, and what every rule needs of it: paths, shards, sections as canonical JSON.
import sys
from pathlib import Path

# Attacca runs from its checkout, installed or not, from any directory, on every node and as a module.
SOURCE = Path(str(workflow.current_basedir)).resolve().parent / "src"
sys.path.insert(0, str(SOURCE))

from attacca.workflow.rerun_marks import RerunMarks
from attacca.workflow.snakemake_output import leave_out_housekeeping
from attacca.workflow.workflow import open_workflow

leave_out_housekeeping()

ATTACCA = open_workflow(
    source=SOURCE,
    configuration_files=workflow.configfiles,
    overrides=workflow.config_settings.config,
    inspect_volumes=workflow.is_main_process,
)
LAYOUT = ATTACCA.layout
MARKS = RerunMarks(ATTACCA, Path(".snakemake/marks"), active=workflow.is_main_process)
if workflow.is_main_process:
    ATTACCA.release_stale_lock()

RUNS = "|".join(ATTACCA.configuration.runs)
VOLUMES = "|".join(ATTACCA.configuration.volumes)
# Runs whose predictions become segments through a graph, and runs whose voxels are decided one by one.
AGGLOMERATED = "|".join(ATTACCA.agglomerated_runs) or "(?!)"
CLASSIFIED = "|".join(ATTACCA.classified_runs) or "(?!)"


wildcard_constraints:
    run=RUNS,
    volume=VOLUMES,
    shard=r"\d+",
    shards=r"\d+",
    stage="[a-z_]+",
