# What was computed, from what and with what; and one page that shows it.


rule provenance:
    input:
        mark=lambda w: MARKS.provenance_mark(w.run),
        training=LAYOUT.training_manifest("{run}"),
        results=lambda w: ATTACCA.run_results(w.run),
    output:
        str(LAYOUT.provenance("{run}")),
    log:
        LAYOUT.log("{run}/provenance"),
    conda:
        "../envs/attacca.yaml"
    threads: ATTACCA.threads("provenance")
    resources:
        mem_mb=ATTACCA.memory("provenance"),
        runtime=ATTACCA.runtime("provenance"),
    params:
        stage=lambda w: ATTACCA.section("provenance", w.run),
    shell:
        "python -m attacca.stages.provenance run --run {wildcards.run} --parameters {params.stage:q} "
        "--threads {threads} --output {output:q} --log {log:q}"


rule report:
    input:
        mark=lambda w: MARKS.report_mark(),
        results=ATTACCA.all_results(),
        provenance=[LAYOUT.provenance(run) for run in ATTACCA.configuration.runs],
    output:
        str(LAYOUT.report()),
    log:
        LAYOUT.log("report"),
    localrule: True
    conda:
        "../envs/attacca.yaml"
    params:
        stage=ATTACCA.section("report"),
    shell:
        "python -m attacca.stages.report run --parameters {params.stage:q} "
        "--output {output:q} --log {log:q}"
