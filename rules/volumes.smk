# Images and labels become OME-Zarr volumes: imported, or made by the workflow.


rule volume_plan:
    input:
        mark=lambda w: MARKS.mark("volume", volume=w.volume),
    output:
        LAYOUT.plan(LAYOUT.volume_manifest("{volume}")),
    log:
        LAYOUT.log("{volume}/volume_plan"),
    localrule: True
    conda:
        "../envs/attacca.yaml"
    params:
        stage=lambda w: ATTACCA.section("volume", volume=w.volume),
    shell:
        "python -m attacca.stages.volume plan --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--output {output:q} --log {log:q}"


rule volume_shard:
    input:
        plan=LAYOUT.plan(LAYOUT.volume_manifest("{volume}")),
    output:
        LAYOUT.shard(LAYOUT.volume_manifest("{volume}")),
    log:
        LAYOUT.log("{volume}/volume_shard_{shard}_of_{shards}"),
    benchmark:
        LAYOUT.benchmark("{volume}/volume_shard_{shard}_of_{shards}")
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("volume")
    resources:
        mem_mb=ATTACCA.memory("volume"),
        runtime=ATTACCA.runtime("volume"),
    params:
        stage=lambda w: ATTACCA.section("volume", volume=w.volume),
    shell:
        "python -m attacca.stages.volume shard --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--shard {wildcards.shard}/{wildcards.shards} --threads {threads} "
        "--output {output:q} --log {log:q}"


rule volume_finish:
    input:
        plan=LAYOUT.plan(LAYOUT.volume_manifest("{volume}")),
        shards=ATTACCA.shard_files(LAYOUT.volume_manifest("{volume}"), "volume"),
    output:
        str(LAYOUT.volume_manifest("{volume}")),
    log:
        LAYOUT.log("{volume}/volume_finish"),
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("volume")
    resources:
        mem_mb=ATTACCA.memory("volume_finish"),
        runtime=ATTACCA.runtime("volume_finish"),
    params:
        stage=lambda w: ATTACCA.section("volume", volume=w.volume),
    shell:
        "python -m attacca.stages.volume finish --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--threads {threads} --output {output:q} --log {log:q}"
