"""`python -m benchmarks.run`: builds the mailbox, starts Culverhouse beside Debian's Dovecot (default and tuned), does
the same work on each in turn and prints medians and ratios.

A ratio is Dovecot's figure divided by ours: above 1, Culverhouse is faster or smaller. The servers' turns are
interleaved, so that a busy moment of the machine falls on all of them.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

from .mailbox import build
from .rows import ROWS, Bench, Row, fill_users
from .servers import Culverhouse, Dovecot, Server, TunedDovecot

KINDS: dict[str, type[Server]] = {kind.name: kind for kind in (Culverhouse, Dovecot, TunedDovecot)}


def measure(row: Row, benches: list[Bench], times: int) -> dict[str, dict[str, float] | None]:
    """Medians per server of one row; None where the row failed."""
    seconds: dict[str, list[float]] = {bench.server.name: [] for bench in benches}
    cpu: dict[str, list[float]] = {bench.server.name: [] for bench in benches}
    units: dict[str, float] = {}
    octets: dict[str, int] = {}
    failed: set[str] = set()
    for turn in range(1 if row.slow else times):
        order = benches[turn % len(benches) :] + benches[: turn % len(benches)]
        for bench in order:
            name = bench.server.name
            if name in failed:
                continue
            before = bench.server.cpu()
            try:
                units[name], spent, octets[name] = row.run(bench)
            except Exception as error:  # a row that fails is reported, the others go on
                failed.add(name)
                print(f"  {row.name} failed on {name}: {error!r}"[:300], file=sys.stderr)
                traceback.print_exc(limit=3)
                continue
            seconds[name].append(spent)
            cpu[name].append(max(0.0, bench.server.cpu() - before))
    return {
        name: None
        if name in failed
        else {
            "value": statistics.median(values),
            "first": values[0],
            "units": units[name],
            "octets": octets[name],
            "cpu": statistics.median(cpu[name]),
        }
        for name, values in seconds.items()
    }


def form(value: float, unit: str) -> str:
    return f"{value:.0f} kB" if unit == "kB" else f"{value * 1000:.2f} ms" if value < 1 else f"{value:.2f} s"


def report(row: Row, found: dict[str, dict[str, float] | None]) -> str:
    ours = found.get("culverhouse")
    cells = [row.name]
    for name, figures in found.items():
        if figures is None:
            cells += ["failed", "–"]
            continue
        cells.append(form(figures["value"], row.unit))
        if name == "culverhouse":
            cells.append(f"{figures['cpu']:.2f}")
        else:
            cells.append(f"{figures['value'] / ours['value']:.2f}" if ours and ours["value"] else "–")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--dir", type=Path, default=Path(__file__).resolve().parent / "data")
    parser.add_argument("--times", type=int, default=5, help="turns of each row that is not slow")
    parser.add_argument("--rows", help="only rows whose name contains one of these words, comma-separated")
    parser.add_argument("--servers", default=",".join(KINDS), help="comma-separated")
    parser.add_argument("--output", type=Path, help="write the table there too")
    options = parser.parse_args()

    options.dir.mkdir(parents=True, exist_ok=True)
    source = build(options.dir / f"mail-{options.messages}", options.messages)
    benches = []
    for name in options.servers.split(","):
        folder = options.dir / f"{name.replace(' ', '-')}-{options.messages}"
        server = KINDS[name](folder)
        bench = Bench(server, options.messages)
        benches.append(bench)
        home = server.maildir("bench")
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-al", str(source), str(home)], check=True)
            (home / "complete").unlink()
        wanted = options.rows.split(",") if options.rows else [""]
        rows = [row for row in ROWS if any(word in row.name for word in wanted)]
        if any("1000 users" in row.name for row in rows):
            fill_users(bench, source, 1000)
    lines = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
    version = subprocess.run(["dovecot", "--version"], capture_output=True, text=True).stdout.strip()
    say(
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {os.cpu_count()} cores ({model}), Python "
        f"{platform.python_version()}, Dovecot {version}; {(source / 'complete').read_text().strip()}. "
        "A ratio is the other server's figure divided by ours.\n"
    )
    names = [bench.server.name for bench in benches]
    head = ["what"]
    for name in names:
        head += [name, "CPU s" if name == "culverhouse" else "ratio"]
    say("| " + " | ".join(head) + " |")
    say("|" + "---|" * len(head))
    try:
        for bench in benches:
            bench.server.start()
            for _ in range(2):  # all caches warm: every later row but the cold ones finds them so
                client = bench.imap()
                client.command(b"FETCH 1:* (RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE)")
                client.close()
        for row in rows:
            say(report(row, measure(row, benches, options.times)))
        for bench in benches:
            for what, notes in bench.notes.items():
                say(f"\n{bench.server.name}: {what}: {'; '.join(notes)}")
    finally:
        for bench in benches:
            bench.server.stop()
    if options.output:
        options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
