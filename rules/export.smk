# segmentation -> formats of other programs: Neuroglancer Precomputed, webKnossos, TIFF, HDF5.


use rule job as export with:
    input:
        **STAGES.export.reads,
    output:
        STAGES.export.manifest,
    log:
        STAGES.export.log(),
    benchmark:
        STAGES.export.benchmark()
    params:
        **STAGES.export.params,
