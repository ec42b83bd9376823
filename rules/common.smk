# The configuration, and the template of all rules: one job of one stage.
import sys
from pathlib import Path

# Attacca runs from its checkout, installed or not, from any directory, on every node and as a module.
SOURCE = Path(str(workflow.current_basedir)).resolve().parent / "src"
sys.path.insert(0, str(SOURCE))

from attacca.costs.resources import JobResources
from attacca.workflow.cluster_jobs import check_cluster_paths, watch_queue
from attacca.workflow.job_groups import JobGroups
from attacca.workflow.partition_limits import PartitionLimits
from attacca.workflow.rerun_triggers import RerunTriggers
from attacca.workflow.rule_functions import store_signature
from attacca.workflow.rules import WorkflowRules
from attacca.workflow.snakemake_log import shorten_messages
from attacca.workflow.target_hints import explain_targets
from attacca.workflow.workflow import end_with_message, open_workflow

shorten_messages()
ATTACCA = open_workflow(
    source=SOURCE,
    configuration_files=workflow.configfiles,
    overrides=workflow.config_settings.config,
    is_main_process=workflow.is_main_process,
)
explain_targets(ATTACCA.layout.results)
with end_with_message():
    TRIGGERS = RerunTriggers(ATTACCA, active=workflow.is_main_process)
SPECIAL = workflow.resource_settings.overwrite_resources
GROUPS = JobGroups(ATTACCA, special_rules=SPECIAL)
STAGES = WorkflowRules(ATTACCA, TRIGGERS, GROUPS)
LIMITS = PartitionLimits(
    default_resources=workflow.resource_settings.default_resources or {},
    special_resources=SPECIAL,
    is_on_cluster=lambda: not workflow.local_exec,
)
RESOURCES = JobResources(ATTACCA, GROUPS, LIMITS)


wildcard_constraints:
    run="|".join(ATTACCA.configuration.runs),
    volume="|".join(ATTACCA.configuration.volumes),
    shard=r"\d+",
    shards=r"\d+",


# The rules of a stage inherit from this one, which never runs. A stage over a volume has three rules: `plan` creates the
# array, a job of `shard` computes some of its blocks, and `finish` writes the manifest when all blocks are done.
rule job:
    log:
        ATTACCA.layout.log("job"),
    conda:
        "../envs/attacca.yaml"
    threads: store_signature(RESOURCES.threads)
    resources:
        mem_mb=store_signature(RESOURCES.mem_mb),
        runtime=store_signature(RESOURCES.runtime),
        gpu=store_signature(RESOURCES.gpu),
    shell:
        "python -m attacca.stages.{params.stage} {params.job} --parameters {params.parameters:q} "
        "--input {params.manifests:q} --threads {threads} --output {output:q} --log {log:q}"
