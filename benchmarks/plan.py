"""Is ``attacca plan`` right? It estimates a configuration, computes it, and compares both, stage by stage.

    python benchmarks/plan.py                       the default configuration, measured by a probe before
    python benchmarks/plan.py --typical             without the probe
    python benchmarks/plan.py --configfile my.yaml --cores 8

Ends with 1 where the time to finish was wrong by more than a factor of 1.5. Run it on an idle machine.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attacca.cli.estimates import estimate
from attacca.cli.extents import read_extent
from attacca.cli.measurements import read_jobs
from attacca.cli.plan import wall_seconds
from attacca.cli.probe import probe
from attacca.config.load import load_configuration
from attacca.stages.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parents[1]
FACTOR = 1.5


def main() -> int:
    """Print the comparison; 0 where the estimate holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=REPOSITORY / "config.yaml")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--typical", action="store_true", help="estimate without a probe")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attacca-plan-") as name:
        configuration = load_configuration(options.configfile, {"results": f"{name}/results"})
        workflow = Workflow(configuration)
        extents = {key: read_extent(key, volume) for key, volume in configuration.volumes.items()}
        start = time.monotonic()
        measured = {} if options.typical else probe(configuration, extents, options.cores)
        print(f"the probe took {time.monotonic() - start:.0f} s")
        estimates = estimate(workflow, extents, measured, options.cores)
        expected = wall_seconds(estimates, 1, options.cores)
        start = time.monotonic()
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
        command += ["--configfile", str(options.configfile), "--config", f"results={name}/results"]
        command += ["--cores", str(options.cores), "--directory", name, "--quiet", "all"]
        subprocess.run(command, check=True)
        took = time.monotonic() - start
        print(f"{'stage':12} {'of':28} {'estimated':>10} {'measured':>10} {'ratio':>6}")
        for item in estimates:
            jobs = read_jobs(item.instance, workflow, 1)
            seconds = sum(job.seconds for job in jobs)
            if seconds:
                print(
                    f"{item.instance.stage.name:12} {item.instance.label:28} "
                    f"{item.job_seconds * item.shards:9.1f}s {seconds:9.1f}s "
                    f"{item.job_seconds * item.shards / seconds:6.2f}"
                )
        disk = sum(path.stat().st_size for path in Path(name, "results").rglob("*") if path.is_file())
        estimated_disk = sum(item.disk_bytes for item in estimates)
        print(f"disk: estimated {estimated_disk / 1e6:.1f} MB, measured {disk / 1e6:.1f} MB")
        print(
            f"time to finish: estimated {expected:.0f} s, measured {took:.0f} s, ratio {expected / took:.2f}"
        )
        return 0 if 1 / FACTOR <= expected / took <= FACTOR else 1


if __name__ == "__main__":
    sys.exit(main())
