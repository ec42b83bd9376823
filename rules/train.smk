# The network learns; its manifest names the checkpoint that prediction uses.


rule train:
    input:
        mark=lambda w: MARKS.mark("train", w.run),
        volumes=lambda w: ATTACCA.training_volumes(w.run),
        targets=lambda w: ATTACCA.training_targets(w.run),
        teachers=lambda w: ATTACCA.teachers(w.run),
    output:
        str(LAYOUT.training_manifest("{run}")),
    log:
        LAYOUT.log("{run}/train"),
    benchmark:
        LAYOUT.benchmark("{run}/train")
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("train")
    resources:
        mem_mb=ATTACCA.memory("train"),
        runtime=ATTACCA.runtime("train"),
        gpu=ATTACCA.gpus("train"),
    params:
        stage=lambda w: ATTACCA.section("train", w.run),
        pairs=lambda w, input: [
            f"{kind}.{Path(path).stem}={path}"
            for kind, paths in (("volume", input.volumes), ("targets", input.targets))
            for path in paths
        ]
        + [f"teacher.{Path(path).parent.name}={path}" for path in input.teachers],
    shell:
        "python -m attacca.stages.train run --run {wildcards.run} "
        "--parameters {params.stage:q} --input {params.pairs:q} "
        "--threads {threads} --output {output:q} --log {log:q}"
