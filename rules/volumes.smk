# files or a seed -> volumes/VOLUME.zarr: imported or synthesized OME-Zarr volumes.


use rule job as volume_plan with:
    input:
        **STAGES.volume.reads,
    output:
        STAGES.volume.plan,
    log:
        STAGES.volume.log("plan"),
    group:
        STAGES.volume.group
    params:
        **STAGES.volume.params,


use rule volume_plan as volume_shard with:
    input:
        STAGES.volume.planned,
    output:
        STAGES.volume.shard,
    log:
        STAGES.volume.log("shard"),
    benchmark:
        STAGES.volume.benchmark("shard")


use rule volume_plan as volume_finish with:
    input:
        STAGES.volume.computed,
    output:
        STAGES.volume.manifest,
    log:
        STAGES.volume.log("finish"),
