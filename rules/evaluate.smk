# segmentation, volume -> scores.json: a segmentation, compared with labels.


use rule job as evaluate with:
    group:
        STAGES.evaluate.group
    input:
        **STAGES.evaluate.reads,
    output:
        STAGES.evaluate.manifest,
    log:
        STAGES.evaluate.log(),
    benchmark:
        STAGES.evaluate.benchmark()
    params:
        **STAGES.evaluate.params,
