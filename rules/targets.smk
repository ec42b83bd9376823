# volume -> targets/VOLUME.zarr: targets, weights and class counts of labels, block by block.


use rule job as targets_plan with:
    input:
        **STAGES.targets.reads,
    output:
        STAGES.targets.plan,
    log:
        STAGES.targets.log("plan"),
    group:
        STAGES.targets.group
    params:
        **STAGES.targets.params,


use rule targets_plan as targets_shard with:
    input:
        STAGES.targets.planned,
    output:
        STAGES.targets.shard,
    log:
        STAGES.targets.log("shard"),
    benchmark:
        STAGES.targets.benchmark("shard")


use rule targets_plan as targets_finish with:
    input:
        STAGES.targets.computed,
    output:
        STAGES.targets.manifest,
    log:
        STAGES.targets.log("finish"),
