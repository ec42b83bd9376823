# segmentation -> objects.tsv: volume, surface, centroid and extent of each object.


# Shards compute blocks of a large volume, if execution.shards names the stage.
use rule job as objects_shard with:
    input:
        **STAGES.objects.reads,
    output:
        STAGES.objects.shard,
    log:
        STAGES.objects.log("shard"),
    benchmark:
        STAGES.objects.benchmark("shard")
    params:
        **STAGES.objects.params,


use rule objects_shard as objects with:
    input:
        **STAGES.objects.reads,
        shards=STAGES.objects.prepared,
    output:
        STAGES.objects.manifest,
    log:
        STAGES.objects.log(),
    benchmark:
        STAGES.objects.benchmark()
