# From images and a few annotated cubes to an evaluated segmentation. Each file of rules/ is one movement.
#
#   snakemake --cores 2                                            config.yaml beside this file
#   snakemake --cores 8 --configfile my/config.yaml                another configuration
#   snakemake --workflow-profile profiles/slurm --configfile ...   on a SLURM cluster
from snakemake.utils import min_version

min_version("9.8")


include: "rules/common.smk"
include: "rules/volumes.smk"
include: "rules/targets.smk"
include: "rules/train.smk"
include: "rules/predict.smk"
include: "rules/segment.smk"
include: "rules/evaluate.smk"
include: "rules/objects.smk"
include: "rules/export.smk"
include: "rules/report.smk"


# Short jobs, which a workflow on a cluster runs on the machine of Snakemake.
localrules:
    all,
    volume_plan,
    predict_plan,
    fragments_plan,
    graph_plan,
    relabel_plan,
    classes_plan,
    report,


rule all:
    default_target: True
    input:
        report=ATTACCA.layout.report(),


onstart:
    if not workflow.local_exec:
        check_cluster_paths(
            [Path.cwd(), SOURCE, ATTACCA.layout.results, *workflow.configfiles]
        )
    ATTACCA.hold_lock(release=workflow.persistence.unlock)
    ATTACCA.record_start()
    TRIGGERS.discard_damaged_work()
    if not workflow.local_exec:
        watch_queue()


onsuccess:
    shell("python -m attacca.cli.main summary {ATTACCA.layout.results:q}")
