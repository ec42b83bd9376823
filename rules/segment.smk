# Predictions become segments: fragments in blocks, one graph, one agglomeration, one relabelling. Tasks that
# predict classes or distances need no graph: their voxels are decided one by one.


rule tune:
    input:
        mark=lambda w: MARKS.mark("tune", w.run),
        predictions=lambda w: ATTACCA.validation_manifests(w.run, "prediction"),
        volumes=lambda w: ATTACCA.validation_volumes(w.run),
    output:
        str(LAYOUT.tuning("{run}")),
    log:
        LAYOUT.log("{run}/tune"),
    benchmark:
        LAYOUT.benchmark("{run}/tune")
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("tune")
    resources:
        mem_mb=ATTACCA.memory("tune"),
        runtime=ATTACCA.runtime("tune"),
    params:
        stage=lambda w: ATTACCA.section("tune", w.run),
        pairs=lambda w, input: [
            f"{kind}.{Path(path).stem if kind == 'volume' else Path(path).parent.name}={path}"
            for kind, paths in (
                ("prediction", input.predictions),
                ("volume", input.volumes),
            )
            for path in paths
        ],
    shell:
        "python -m attacca.stages.tune run --run {wildcards.run} "
        "--parameters {params.stage:q} --input {params.pairs:q} "
        "--threads {threads} --output {output:q} --log {log:q}"


rule fragments_plan:
    input:
        mark=lambda w: MARKS.mark("fragments", w.run, w.volume),
        volume=LAYOUT.volume_manifest("{volume}"),
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        tuning=LAYOUT.tuning("{run}"),
    output:
        LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "fragments")),
    log:
        LAYOUT.log("{run}/{volume}/fragments_plan"),
    wildcard_constraints:
        run=AGGLOMERATED,
    localrule: True
    conda:
        "../envs/attacca.yaml"
    params:
        stage=lambda w: ATTACCA.section("fragments", w.run, w.volume),
    shell:
        "python -m attacca.stages.fragments plan --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} prediction={input.prediction:q} tuning={input.tuning:q} "
        "--output {output:q} --log {log:q}"


rule fragments_shard:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        tuning=LAYOUT.tuning("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "fragments")),
    output:
        LAYOUT.shard(LAYOUT.manifest("{run}", "{volume}", "fragments")),
    log:
        LAYOUT.log("{run}/{volume}/fragments_shard_{shard}_of_{shards}"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/fragments_shard_{shard}_of_{shards}")
    wildcard_constraints:
        run=AGGLOMERATED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("fragments")
    resources:
        mem_mb=ATTACCA.memory("fragments"),
        runtime=ATTACCA.runtime("fragments"),
    params:
        stage=lambda w: ATTACCA.section("fragments", w.run, w.volume),
    shell:
        "python -m attacca.stages.fragments shard --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} prediction={input.prediction:q} tuning={input.tuning:q} "
        "--shard {wildcards.shard}/{wildcards.shards} --threads {threads} "
        "--output {output:q} --log {log:q}"


rule fragments_finish:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        tuning=LAYOUT.tuning("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "fragments")),
        shards=ATTACCA.shard_files(
            LAYOUT.manifest("{run}", "{volume}", "fragments"), "fragments"
        ),
    output:
        str(LAYOUT.manifest("{run}", "{volume}", "fragments")),
    log:
        LAYOUT.log("{run}/{volume}/fragments_finish"),
    wildcard_constraints:
        run=AGGLOMERATED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("fragments")
    resources:
        mem_mb=ATTACCA.memory("fragments_finish"),
        runtime=ATTACCA.runtime("fragments_finish"),
    params:
        stage=lambda w: ATTACCA.section("fragments", w.run, w.volume),
    shell:
        "python -m attacca.stages.fragments finish --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} prediction={input.prediction:q} tuning={input.tuning:q} "
        "--threads {threads} --output {output:q} --log {log:q}"


rule graph_plan:
    input:
        mark=lambda w: MARKS.mark("graph", w.run, w.volume),
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        fragments=LAYOUT.manifest("{run}", "{volume}", "fragments"),
        tuning=LAYOUT.tuning("{run}"),
    output:
        LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "graph")),
    log:
        LAYOUT.log("{run}/{volume}/graph_plan"),
    wildcard_constraints:
        run=AGGLOMERATED,
    localrule: True
    conda:
        "../envs/attacca.yaml"
    params:
        stage=lambda w: ATTACCA.section("graph", w.run, w.volume),
    shell:
        "python -m attacca.stages.graph plan --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input prediction={input.prediction:q} fragments={input.fragments:q} tuning={input.tuning:q} "
        "--output {output:q} --log {log:q}"


rule graph_shard:
    input:
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        fragments=LAYOUT.manifest("{run}", "{volume}", "fragments"),
        tuning=LAYOUT.tuning("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "graph")),
    output:
        LAYOUT.shard(LAYOUT.manifest("{run}", "{volume}", "graph")),
    log:
        LAYOUT.log("{run}/{volume}/graph_shard_{shard}_of_{shards}"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/graph_shard_{shard}_of_{shards}")
    wildcard_constraints:
        run=AGGLOMERATED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("graph")
    resources:
        mem_mb=ATTACCA.memory("graph"),
        runtime=ATTACCA.runtime("graph"),
    params:
        stage=lambda w: ATTACCA.section("graph", w.run, w.volume),
    shell:
        "python -m attacca.stages.graph shard --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input prediction={input.prediction:q} fragments={input.fragments:q} tuning={input.tuning:q} "
        "--shard {wildcards.shard}/{wildcards.shards} --threads {threads} "
        "--output {output:q} --log {log:q}"


rule graph_finish:
    input:
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        fragments=LAYOUT.manifest("{run}", "{volume}", "fragments"),
        tuning=LAYOUT.tuning("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "graph")),
        shards=ATTACCA.shard_files(
            LAYOUT.manifest("{run}", "{volume}", "graph"), "graph"
        ),
    output:
        str(LAYOUT.manifest("{run}", "{volume}", "graph")),
    log:
        LAYOUT.log("{run}/{volume}/graph_finish"),
    wildcard_constraints:
        run=AGGLOMERATED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("graph")
    resources:
        mem_mb=ATTACCA.memory("graph_finish"),
        runtime=ATTACCA.runtime("graph_finish"),
    params:
        stage=lambda w: ATTACCA.section("graph", w.run, w.volume),
    shell:
        "python -m attacca.stages.graph finish --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input prediction={input.prediction:q} fragments={input.fragments:q} tuning={input.tuning:q} "
        "--threads {threads} --output {output:q} --log {log:q}"


rule agglomerate:
    input:
        mark=lambda w: MARKS.mark("agglomerate", w.run, w.volume),
        graph=LAYOUT.manifest("{run}", "{volume}", "graph"),
        tuning=LAYOUT.tuning("{run}"),
    output:
        str(LAYOUT.manifest("{run}", "{volume}", "look_up_table")),
    log:
        LAYOUT.log("{run}/{volume}/agglomerate"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/agglomerate")
    wildcard_constraints:
        run=AGGLOMERATED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("agglomerate")
    resources:
        mem_mb=ATTACCA.memory("agglomerate"),
        runtime=ATTACCA.runtime("agglomerate"),
    params:
        stage=lambda w: ATTACCA.section("agglomerate", w.run, w.volume),
    shell:
        "python -m attacca.stages.agglomerate run --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input graph={input.graph:q} tuning={input.tuning:q} "
        "--threads {threads} --output {output:q} --log {log:q}"


rule relabel_plan:
    input:
        mark=lambda w: MARKS.mark("relabel", w.run, w.volume),
        fragments=LAYOUT.manifest("{run}", "{volume}", "fragments"),
        look_up_table=LAYOUT.manifest("{run}", "{volume}", "look_up_table"),
    output:
        LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    log:
        LAYOUT.log("{run}/{volume}/relabel_plan"),
    wildcard_constraints:
        run=AGGLOMERATED,
    localrule: True
    conda:
        "../envs/attacca.yaml"
    params:
        stage=lambda w: ATTACCA.section("relabel", w.run, w.volume),
    shell:
        "python -m attacca.stages.relabel plan --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input fragments={input.fragments:q} look_up_table={input.look_up_table:q} "
        "--output {output:q} --log {log:q}"


rule relabel_shard:
    input:
        fragments=LAYOUT.manifest("{run}", "{volume}", "fragments"),
        look_up_table=LAYOUT.manifest("{run}", "{volume}", "look_up_table"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    output:
        LAYOUT.shard(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    log:
        LAYOUT.log("{run}/{volume}/relabel_shard_{shard}_of_{shards}"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/relabel_shard_{shard}_of_{shards}")
    wildcard_constraints:
        run=AGGLOMERATED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("relabel")
    resources:
        mem_mb=ATTACCA.memory("relabel"),
        runtime=ATTACCA.runtime("relabel"),
    params:
        stage=lambda w: ATTACCA.section("relabel", w.run, w.volume),
    shell:
        "python -m attacca.stages.relabel shard --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input fragments={input.fragments:q} look_up_table={input.look_up_table:q} "
        "--shard {wildcards.shard}/{wildcards.shards} --threads {threads} "
        "--output {output:q} --log {log:q}"


rule relabel_finish:
    input:
        fragments=LAYOUT.manifest("{run}", "{volume}", "fragments"),
        look_up_table=LAYOUT.manifest("{run}", "{volume}", "look_up_table"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
        shards=ATTACCA.shard_files(
            LAYOUT.manifest("{run}", "{volume}", "segmentation"), "relabel"
        ),
    output:
        str(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    log:
        LAYOUT.log("{run}/{volume}/relabel_finish"),
    wildcard_constraints:
        run=AGGLOMERATED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("relabel")
    resources:
        mem_mb=ATTACCA.memory("relabel_finish"),
        runtime=ATTACCA.runtime("relabel_finish"),
    params:
        stage=lambda w: ATTACCA.section("relabel", w.run, w.volume),
    shell:
        "python -m attacca.stages.relabel finish --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input fragments={input.fragments:q} look_up_table={input.look_up_table:q} "
        "--threads {threads} --output {output:q} --log {log:q}"


rule classes_plan:
    input:
        mark=lambda w: MARKS.mark("classes", w.run, w.volume),
        volume=LAYOUT.volume_manifest("{volume}"),
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        tuning=LAYOUT.tuning("{run}"),
    output:
        LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    log:
        LAYOUT.log("{run}/{volume}/classes_plan"),
    wildcard_constraints:
        run=CLASSIFIED,
    localrule: True
    conda:
        "../envs/attacca.yaml"
    params:
        stage=lambda w: ATTACCA.section("classes", w.run, w.volume),
    shell:
        "python -m attacca.stages.classes plan --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} prediction={input.prediction:q} tuning={input.tuning:q} "
        "--output {output:q} --log {log:q}"


rule classes_shard:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        tuning=LAYOUT.tuning("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    output:
        LAYOUT.shard(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    log:
        LAYOUT.log("{run}/{volume}/classes_shard_{shard}_of_{shards}"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/classes_shard_{shard}_of_{shards}")
    wildcard_constraints:
        run=CLASSIFIED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("classes")
    resources:
        mem_mb=ATTACCA.memory("classes"),
        runtime=ATTACCA.runtime("classes"),
    params:
        stage=lambda w: ATTACCA.section("classes", w.run, w.volume),
    shell:
        "python -m attacca.stages.classes shard --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} prediction={input.prediction:q} tuning={input.tuning:q} "
        "--shard {wildcards.shard}/{wildcards.shards} --threads {threads} "
        "--output {output:q} --log {log:q}"


rule classes_finish:
    input:
        volume=LAYOUT.volume_manifest("{volume}"),
        prediction=LAYOUT.manifest("{run}", "{volume}", "prediction"),
        tuning=LAYOUT.tuning("{run}"),
        plan=LAYOUT.plan(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
        shards=ATTACCA.shard_files(
            LAYOUT.manifest("{run}", "{volume}", "segmentation"), "classes"
        ),
    output:
        str(LAYOUT.manifest("{run}", "{volume}", "segmentation")),
    log:
        LAYOUT.log("{run}/{volume}/classes_finish"),
    wildcard_constraints:
        run=CLASSIFIED,
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("classes")
    resources:
        mem_mb=ATTACCA.memory("classes_finish"),
        runtime=ATTACCA.runtime("classes_finish"),
    params:
        stage=lambda w: ATTACCA.section("classes", w.run, w.volume),
    shell:
        "python -m attacca.stages.classes finish --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input volume={input.volume:q} prediction={input.prediction:q} tuning={input.tuning:q} "
        "--threads {threads} --output {output:q} --log {log:q}"
