# Segmentations are compared with labels; every score carries its convention.


rule evaluate:
    input:
        mark=lambda w: MARKS.mark("evaluate", w.run, w.volume),
        segmentation=LAYOUT.manifest("{run}", "{volume}", "segmentation"),
        volume=LAYOUT.volume_manifest("{volume}"),
    output:
        str(LAYOUT.scores("{run}", "{volume}")),
    log:
        LAYOUT.log("{run}/{volume}/evaluate"),
    benchmark:
        LAYOUT.benchmark("{run}/{volume}/evaluate")
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("evaluate")
    resources:
        mem_mb=ATTACCA.memory("evaluate"),
        runtime=ATTACCA.runtime("evaluate"),
    params:
        stage=lambda w: ATTACCA.section("evaluate", w.run, w.volume),
    shell:
        "python -m attacca.stages.evaluate run --run {wildcards.run} --volume {wildcards.volume} "
        "--parameters {params.stage:q} "
        "--input segmentation={input.segmentation:q} volume={input.volume:q} "
        "--threads {threads} --output {output:q} --log {log:q}"
