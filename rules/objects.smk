# segmentation -> objects.tsv: volume, surface, centroid and extent of each object.


use rule job as objects with:
    input:
        **STAGES.objects.reads,
    output:
        STAGES.objects.manifest,
    log:
        STAGES.objects.log(),
    benchmark:
        STAGES.objects.benchmark()
    params:
        **STAGES.objects.params,
