"""What commands print: tables for people, JSON for programs, problems on stderr.

Values may come from strangers (a user name, a client's ID): what does not print is escaped, so that no terminal
takes an order from it.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

OK, FAILED, USAGE = 0, 1, 2
"""Exit codes: done; could not be done or the answer is no; wrong arguments or configuration."""


class Failed(Exception):
    """A command cannot go on; the text is for the administrator."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


def printable(value: Any) -> str:
    """The value as one line that does nothing to a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def say(text: str) -> None:
    """A line on stdout."""
    print(printable(text))


def complain(text: str) -> None:
    """Lines on stderr."""
    for line in text.split("\n"):
        print(printable(line), file=sys.stderr)


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], as_json: bool) -> None:
    """Rows as a table of the columns, or whole as JSON."""
    if as_json:
        json.dump(list(rows), sys.stdout, indent=2, ensure_ascii=False)
        print()
        return
    if not rows:
        return
    cells = [[column.upper() for column in columns]]
    cells += [[printable(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
