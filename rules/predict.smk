# The network is applied to whole volumes, block by block.


rule predict_plan:
    input:
        mark=lambda w: MARKS.mark("predict", w.run, w.volume),
        volume=LAYOUT.volume_manifest("{volume}"),
        training=LAYOUT.training_manifest("{run}"),
    output:
        LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "prediction")),
    log:
        LAYOUT.log("{run}/{volume}/predict_plan"),
    localrule: True
    conda:
        "../envs/attacca.yaml"
    params:
        stage=lambda w: ATTACCA.section("predict", w.run, w.volume),
    shell:
        "python -m attacca.stages.predict plan --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} training={input.training:q} "
        "--output {output:q} --log {log:q}"


rule predict_shard:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        training=LAYOUT.training_manifest("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "prediction")),
    output:
        LAYOUT.shard(LAYOUT.manifest("{run}", "{volume}", "prediction")),
    log:
        LAYOUT.log("{run}/{volume}/predict_shard_{shard}_of_{shards}"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/predict_shard_{shard}_of_{shards}")
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("predict")
    resources:
        mem_mb=ATTACCA.memory("predict"),
        runtime=ATTACCA.runtime("predict"),
        gpu=ATTACCA.gpus("predict"),
    params:
        stage=lambda w: ATTACCA.section("predict", w.run, w.volume),
    shell:
        "python -m attacca.stages.predict shard --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} training={input.training:q} "
        "--shard {wildcards.shard}/{wildcards.shards} --threads {threads} "
        "--output {output:q} --log {log:q}"


rule predict_finish:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        training=LAYOUT.training_manifest("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "prediction")),
        shards=ATTACCA.shard_files(
            LAYOUT.manifest("{run}", "{volume}", "prediction"), "predict"
        ),
    output:
        str(LAYOUT.manifest("{run}", "{volume}", "prediction")),
    log:
        LAYOUT.log("{run}/{volume}/predict_finish"),
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("predict")
    resources:
        mem_mb=ATTACCA.memory("predict_finish"),
        runtime=ATTACCA.runtime("predict_finish"),
    params:
        stage=lambda w: ATTACCA.section("predict", w.run, w.volume),
    shell:
        "python -m attacca.stages.predict finish --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} training={input.training:q} "
        "--threads {threads} --output {output:q} --log {log:q}"
