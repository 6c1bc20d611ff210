"""`python -m tests.stress --seconds 600`: the long form of the stress test."""

import argparse
import tempfile
from pathlib import Path

from .run import stress


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--dir", type=Path, help="keep the server's files there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        tally = stress(options.dir or Path(temporary), options.seconds, options.seed, options.workers)
    for error in tally.errors:
        print(error)
    print(
        f"{tally.commands} commands, {tally.checkpoints} checkpoints, {tally.delivered} delivered by another program, "
        f"{tally.wipes} index deletions, {len(tally.errors)} errors"
    )
    return 1 if tally.errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
