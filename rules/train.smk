# volumes, targets -> training/: checkpoints. The manifest names the checkpoint for the prediction.
# Or a model file -> training/: its network. Training and tuning -> model.zip: a model file of the run.


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


use rule job as unpack with:
    input:
        **STAGES.unpack.reads,
    output:
        STAGES.unpack.manifest,
    log:
        STAGES.unpack.log(),
    benchmark:
        STAGES.unpack.benchmark()
    params:
        **STAGES.unpack.params,


use rule job as bundle with:
    input:
        **STAGES.bundle.reads,
    output:
        STAGES.bundle.manifest,
    log:
        STAGES.bundle.log(),
    benchmark:
        STAGES.bundle.benchmark()
    params:
        **STAGES.bundle.params,
