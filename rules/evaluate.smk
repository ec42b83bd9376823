# segmentation, volume -> scores.json: a segmentation, compared with labels.


use rule job as evaluate with:
    input:
        **STAGES.evaluate.reads,
    output:
        STAGES.evaluate.manifest,
    log:
        STAGES.evaluate.log(),
    benchmark:
        STAGES.evaluate.benchmark()
    group:
        STAGES.evaluate.group
    params:
        **STAGES.evaluate.params,
