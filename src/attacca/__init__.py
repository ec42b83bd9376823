"""From electron-microscopy volumes and a few annotated cubes to an evaluated segmentation."""

__version__ = "0.1.0"
