# segmentation, volume -> scores.json: a segmentation, compared with labels.


# Shards compute blocks of a large volume, if execution.shards names the stage.
use rule job as evaluate_shard with:
    input:
        **STAGES.evaluate.reads,
    output:
        STAGES.evaluate.shard,
    log:
        STAGES.evaluate.log("shard"),
    benchmark:
        STAGES.evaluate.benchmark("shard")
    group:
        STAGES.evaluate.group
    params:
        **STAGES.evaluate.params,


use rule evaluate_shard as evaluate with:
    input:
        **STAGES.evaluate.reads,
        shards=STAGES.evaluate.prepared,
    output:
        STAGES.evaluate.manifest,
    log:
        STAGES.evaluate.log(),
    benchmark:
        STAGES.evaluate.benchmark()
