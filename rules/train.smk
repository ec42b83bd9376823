# volumes, targets -> training/: checkpoints. The manifest names the checkpoint for the prediction.


use rule job as train with:
    input:
        **STAGES.train.reads,
    output:
        STAGES.train.manifest,
    log:
        STAGES.train.log(),
    benchmark:
        STAGES.train.benchmark()
    params:
        **STAGES.train.params,
