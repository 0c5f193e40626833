"""`python -m reliability [PART …] [--small] [--seed N]`: run parts of the campaign, where none is
named all that try promises, and write each into book/results/reliability.json. Exits with 1 where
one was wrong. `--small` tries little and writes nothing."""

import argparse
import sys

from reliability import PARTS, PROMISES, record, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="reliability")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="try little, write nothing")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"PART = {min(unknown)!r} is unknown; allowed: {', '.join(PARTS)}")
    failed = 0
    for part in chosen.parts or PROMISES:
        count = PARTS[part].small if chosen.small else PARTS[part].campaign
        print(f"{part}: {count:,} …", flush=True)
        outcome = run(part, count, chosen.seed)
        if not chosen.small:
            record(outcome)
        figures = ", ".join(f"{name} {value}" for name, value in outcome.details.items())
        counted = f"{outcome.tried:,} tried, {outcome.failed:,} wrong, {outcome.seconds:.0f} s"
        print(f"{part}: {counted}  {figures}", flush=True)
        failed += outcome.failed
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
