"""A long campaign: `python -m tests.fuzz --seconds 3600`. Every module of this folder that has `fuzz_once(seed)` takes
part in turn. A failure is printed with its seed, which makes it again (`--module NAME --seed SEED`), and ends the run.
"""

import argparse
import importlib
import secrets
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path


def modules() -> dict[str, Callable[[str], object]]:
    """Name of the module to its `fuzz_once`."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        fuzz_once = getattr(importlib.import_module(f"tests.fuzz.{path.stem}"), "fuzz_once", None)
        if fuzz_once is not None:
            found[path.stem.removeprefix("test_")] = fuzz_once
    return found


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the protocol engines.")
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--module", choices=sorted(modules()))
    options.add_argument("--seed", help="make one case again")
    given = options.parse_args()
    chosen = {name: call for name, call in modules().items() if given.module in (None, name)}
    counts = dict.fromkeys(chosen, 0)
    end = time.monotonic() + given.seconds
    while time.monotonic() < end:
        for name, fuzz_once in chosen.items():
            seed = given.seed or secrets.token_hex(8)
            try:
                fuzz_once(seed)
            except Exception:
                traceback.print_exc()
                print(f"\nmake it again: python -m tests.fuzz --module {name} --seed {seed}", file=sys.stderr)
                return 1
            counts[name] += 1
        if given.seed:
            break
    print(", ".join(f"{name}: {count} cases" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
