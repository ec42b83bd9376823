# volume, training -> prediction.zarr: the network, applied to a volume block by block.


use rule job as predict_plan with:
    input:
        **STAGES.predict.reads,
    output:
        STAGES.predict.plan,
    log:
        STAGES.predict.log("plan"),
    group:
        STAGES.predict.group
    params:
        **STAGES.predict.params,


use rule predict_plan as predict_shard with:
    input:
        STAGES.predict.planned,
    output:
        STAGES.predict.shard,
    log:
        STAGES.predict.log("shard"),
    benchmark:
        STAGES.predict.benchmark("shard")


use rule predict_plan as predict_finish with:
    input:
        STAGES.predict.computed,
    output:
        STAGES.predict.manifest,
    log:
        STAGES.predict.log("finish"),
