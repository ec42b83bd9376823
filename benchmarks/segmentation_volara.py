"""Segmentation by volara for ``segmentation.py``, in volara's own environment.

python benchmarks/segmentation_volara.py --side FOLDER JOB
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import zarr  # noqa: E402
from funlib.geometry import Coordinate  # noqa: E402
from funlib.persistence import prepare_ds  # noqa: E402
from segmentation_data import OFFSETS  # noqa: E402
from volara.blockwise import AffAgglom, ExtractFrags, GraphMWS, Relabel  # noqa: E402
from volara.datasets import Affs, Labels  # noqa: E402
from volara.dbs import SQLite  # noqa: E402
from volara.lut import LUT  # noqa: E402


def segment(folder: Path, job: dict[str, Any]) -> None:
    """Segment with volara, write ``result.npy``, and print the seconds."""
    os.chdir(folder)
    store = folder / "affs.zarr"
    values = np.load(job["affinities"], mmap_mode="r")
    if not store.exists():
        array = prepare_ds(
            store / "affs",
            values.shape,
            (0, 0, 0),
            (1, 1, 1),
            ["c^", "z", "y", "x"],
            ["", "", ""],
            chunk_shape=(len(values), *job["block"]),
            dtype=np.uint8,
        )
        array[:] = np.array(values)
    start = time.perf_counter()
    affs = Affs(store=store / "affs", neighborhood=[Coordinate(o) for o in OFFSETS])
    frags, segs = Labels(store=folder / "frags.zarr/frags"), Labels(store=folder / "frags.zarr/segs")
    db = SQLite(path=folder / "db.sqlite", edge_attrs={"direct": "float", "long": "float"})
    lut = LUT(path=folder / "lut.npz")
    direct, long = job["bias"]
    block, context = Coordinate(job["block"]), Coordinate(job["context"])
    stride = Coordinate([job["stride"]] * 3)
    common = {"num_workers": job["workers"], "block_size": block}
    stages = [
        ExtractFrags(
            db=db,
            affs_data=affs,
            frags_data=frags,
            context=context,
            bias=[-direct] * 3 + [-long] * 6,
            strides=[Coordinate(1, 1, 1)] * 3 + [stride] * 6,
            **common,
        ),
        AffAgglom(
            db=db,
            affs_data=affs,
            frags_data=frags,
            context=context,
            scores={
                "direct": [Coordinate(o) for o in OFFSETS[:3]],
                "long": [Coordinate(o) for o in OFFSETS[3:]],
            },
            **common,
        ),
        GraphMWS(
            db=db,
            lut=lut,
            weights={"direct": (1.0, -direct), "long": (1.0, -long)},
            roi=((0, 0, 0), tuple(values.shape[1:])),
        ),
        Relabel(frags_data=frags, seg_data=segs, lut=lut, **common),
    ]
    for stage in stages:
        stage.run_blockwise(multiprocessing=True) if job["workers"] > 1 else stage.run_blockwise(False)
    seconds = time.perf_counter() - start
    np.save(folder / "result.npy", zarr.open_array(folder / "frags.zarr/segs", mode="r")[:])
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    segment(Path(sys.argv[2]), json.loads(sys.argv[3]))
