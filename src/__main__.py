"""`python -m culverhouse` and the `culverhouse` script."""

import sys


def main() -> int:
    """Run the command line; returns the exit status."""
    from .cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
