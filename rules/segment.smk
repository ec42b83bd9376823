# prediction -> segmentation.zarr. Tasks that predict affinities: fragments in blocks, their graph, its agglomeration,
# and segments in blocks. Other tasks: classes of single voxels. The tuning chooses the settings on validation volumes.


use rule job as tune with:
    input:
        **STAGES.tune.reads,
    output:
        STAGES.tune.manifest,
    log:
        STAGES.tune.log(),
    benchmark:
        STAGES.tune.benchmark()
    params:
        **STAGES.tune.params,


use rule job as fragments_plan with:
    input:
        **STAGES.fragments.reads,
    output:
        STAGES.fragments.plan,
    log:
        STAGES.fragments.log("plan"),
    group:
        STAGES.fragments.group
    params:
        **STAGES.fragments.params,


use rule fragments_plan as fragments_shard with:
    input:
        STAGES.fragments.planned,
    output:
        STAGES.fragments.shard,
    log:
        STAGES.fragments.log("shard"),
    benchmark:
        STAGES.fragments.benchmark("shard")


use rule fragments_plan as fragments_finish with:
    input:
        STAGES.fragments.computed,
    output:
        STAGES.fragments.manifest,
    log:
        STAGES.fragments.log("finish"),


use rule job as graph_plan with:
    input:
        **STAGES.graph.reads,
    output:
        STAGES.graph.plan,
    log:
        STAGES.graph.log("plan"),
    group:
        STAGES.graph.group
    params:
        **STAGES.graph.params,


use rule graph_plan as graph_shard with:
    input:
        STAGES.graph.planned,
    output:
        STAGES.graph.shard,
    log:
        STAGES.graph.log("shard"),
    benchmark:
        STAGES.graph.benchmark("shard")


use rule graph_plan as graph_finish with:
    input:
        STAGES.graph.computed,
    output:
        STAGES.graph.manifest,
    log:
        STAGES.graph.log("finish"),


# Shards agglomerate leaves of a large volume, if execution.shards names the stage.
use rule job as agglomerate_shard with:
    input:
        **STAGES.agglomerate.reads,
    output:
        STAGES.agglomerate.shard,
    log:
        STAGES.agglomerate.log("shard"),
    benchmark:
        STAGES.agglomerate.benchmark("shard")
    group:
        STAGES.agglomerate.group
    params:
        **STAGES.agglomerate.params,


use rule agglomerate_shard as agglomerate with:
    input:
        **STAGES.agglomerate.reads,
        shards=STAGES.agglomerate.prepared,
    output:
        STAGES.agglomerate.manifest,
    log:
        STAGES.agglomerate.log(),
    benchmark:
        STAGES.agglomerate.benchmark()


use rule job as relabel_plan with:
    input:
        **STAGES.relabel.reads,
    output:
        STAGES.relabel.plan,
    log:
        STAGES.relabel.log("plan"),
    group:
        STAGES.relabel.group
    params:
        **STAGES.relabel.params,


use rule relabel_plan as relabel_shard with:
    input:
        STAGES.relabel.planned,
    output:
        STAGES.relabel.shard,
    log:
        STAGES.relabel.log("shard"),
    benchmark:
        STAGES.relabel.benchmark("shard")


use rule relabel_plan as relabel_finish with:
    input:
        STAGES.relabel.computed,
    output:
        STAGES.relabel.manifest,
    log:
        STAGES.relabel.log("finish"),


use rule job as classes_plan with:
    input:
        **STAGES.classes.reads,
    output:
        STAGES.classes.plan,
    log:
        STAGES.classes.log("plan"),
    group:
        STAGES.classes.group
    params:
        **STAGES.classes.params,


use rule classes_plan as classes_shard with:
    input:
        STAGES.classes.planned,
    output:
        STAGES.classes.shard,
    log:
        STAGES.classes.log("shard"),
    benchmark:
        STAGES.classes.benchmark("shard")


use rule classes_plan as classes_finish with:
    input:
        STAGES.classes.computed,
    output:
        STAGES.classes.manifest,
    log:
        STAGES.classes.log("finish"),
