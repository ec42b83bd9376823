"""Readers of volumes, one module per format: image stacks, TIFF, HDF5, Zarr and N5; ``open_source`` chooses one."""
