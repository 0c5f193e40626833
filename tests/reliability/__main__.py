"""`python -m reliability [PART …] [--small] [--seed N] [--jobs N]`: run parts of the campaign, all
that try promises where none is named, as many at once as there are cores, and write each into
book/results/reliability.json as it ends. Exits with 1 where one was wrong. `--small` tries little
and writes nothing."""

import argparse
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from reliability import PARTS, PROMISES, record, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="reliability")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="try little, write nothing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="parts at once")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"PART = {min(unknown)!r} is unknown; allowed: {', '.join(PARTS)}")
    parts, failed = chosen.parts or PROMISES, 0
    count = {part: PARTS[part].small if chosen.small else PARTS[part].campaign for part in parts}
    apart = multiprocessing.get_context("spawn")  # a part may change its process
    with ProcessPoolExecutor(chosen.jobs, apart, max_tasks_per_child=1) as pool:
        ended = [pool.submit(run, part, count[part], chosen.seed) for part in parts]
        print(", ".join(f"{part}: {n:,}" for part, n in count.items()), "…", flush=True)
        for one in as_completed(ended):
            if error := one.exception():  # what the others find is recorded all the same
                print(f"not tried to its end: {error}", flush=True)
                failed += 1
                continue
            outcome = one.result()
            if not chosen.small:
                record(outcome)
            figures = ", ".join(f"{name} {value}" for name, value in outcome.details.items())
            counted = f"{outcome.tried:,} tried, {outcome.failed:,} wrong, {outcome.seconds:.0f} s"
            print(f"{outcome.part}: {counted}  {figures}", flush=True)
            failed += outcome.failed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
