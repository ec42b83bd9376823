"""Small files of each format: those that are read, with their voxels, and those that are refused, with the reason.

``docs/formats.md`` is written from these cases, and damaged copies of them are the input of ``tests/volumes/test_damaged_files.py``
and ``benchmarks/fuzz.py``.
"""

from format_cases import bigdataviewer, containers, images, micrographs, webknossos
from format_cases.case import FormatCase

CASES: list[FormatCase] = [
    *images.CASES,
    *containers.CASES,
    *micrographs.CASES,
    *bigdataviewer.CASES,
    *webknossos.CASES,
]
