"""`python -m tests.specs --count 10000 --seed 1`: of which `make test` does a part.

--seed N --count 1 --show prints the job of a seed; --every-value is a systematic round over places and odd values.
"""

import argparse
import asyncio
import json
import sys

from dev.cluster.instance import control_plane
from peft_fsdp_api.crd import crd, crd_yaml
from tests.specs.generator import every_value, generate
from tests.specs.run import run

NAME = "specs"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.specs", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first job; the next ones count up")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--every-value", action="store_true", help="every odd value at every place, not by chance")
    parser.add_argument("--show", action="store_true", help="print the jobs instead of judging them")
    flags = parser.parse_args()
    seeds = range(flags.seed, flags.seed + flags.count)
    jobs = every_value() if flags.every_value else (generate(seed) for seed in seeds)
    if flags.show:
        for one in jobs:
            print(json.dumps({"seed": one.seed, "changes": one.changes, "job": one.job}, indent=2))
        return 0
    with control_plane(NAME) as instance:
        instance.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=crd_yaml())
        instance.wait_until_served(crd()["metadata"]["name"])
        report = asyncio.run(run(instance, jobs))
    print("\n".join([*report.complaints, report.summary()]))
    return 1 if report.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
