# Labels become targets and weights, block by block, with the class counts that training balances by.


rule targets_plan:
    input:
        mark=lambda w: MARKS.mark("targets", w.run, w.volume),
        volume=LAYOUT.volume_manifest("{volume}"),
    output:
        LAYOUT.plan(LAYOUT.targets_manifest("{run}", "{volume}")),
    log:
        LAYOUT.log("{run}/{volume}/targets_plan"),
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("targets")
    resources:
        mem_mb=ATTACCA.memory("targets"),
        runtime=ATTACCA.runtime("targets"),
    params:
        stage=lambda w: ATTACCA.section("targets", w.run, w.volume),
    shell:
        "python -m attacca.stages.targets plan --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} "
        "--threads {threads} --output {output:q} --log {log:q}"


rule targets_shard:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        plan=LAYOUT.plan(LAYOUT.targets_manifest("{run}", "{volume}")),
    output:
        LAYOUT.shard(LAYOUT.targets_manifest("{run}", "{volume}")),
    log:
        LAYOUT.log("{run}/{volume}/targets_shard_{shard}_of_{shards}"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/targets_shard_{shard}_of_{shards}")
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("targets")
    resources:
        mem_mb=ATTACCA.memory("targets"),
        runtime=ATTACCA.runtime("targets"),
    params:
        stage=lambda w: ATTACCA.section("targets", w.run, w.volume),
    shell:
        "python -m attacca.stages.targets shard --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} "
        "--shard {wildcards.shard}/{wildcards.shards} --threads {threads} "
        "--output {output:q} --log {log:q}"


rule targets_finish:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        plan=LAYOUT.plan(LAYOUT.targets_manifest("{run}", "{volume}")),
        shards=ATTACCA.shard_files(
            LAYOUT.targets_manifest("{run}", "{volume}"), "targets"
        ),
    output:
        str(LAYOUT.targets_manifest("{run}", "{volume}")),
    log:
        LAYOUT.log("{run}/{volume}/targets_finish"),
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("targets")
    resources:
        mem_mb=ATTACCA.memory("targets_finish"),
        runtime=ATTACCA.runtime("targets_finish"),
    params:
        stage=lambda w: ATTACCA.section("targets", w.run, w.volume),
    shell:
        "python -m attacca.stages.targets finish --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} "
        "--threads {threads} --output {output:q} --log {log:q}"
