# all results -> provenance.json of each run, and report.html.


use rule job as provenance with:
    input:
        trigger=STAGES.provenance.reads["trigger"],
        results=lambda w: ATTACCA.run_results(w.run),
    output:
        STAGES.provenance.manifest,
    log:
        STAGES.provenance.log(),
    params:
        **STAGES.provenance.params,


use rule job as report with:
    input:
        trigger=STAGES.report.reads["trigger"],
        results=ATTACCA.all_results(),
        provenance=ATTACCA.provenance_files(),
    output:
        STAGES.report.manifest,
    log:
        STAGES.report.log(),
    params:
        **STAGES.report.params,
