"""On which line of a TOML text each key stands. The standard library's parser does not say.

The text has already been accepted by `tomllib`, so this scanner only has to find its way: it never judges. A path
is a tuple of keys and of list positions, as one would index the parsed value: `("auth", "backend", 0, "path")`.
Linear in the text; the depth of nesting is bounded, because the parser has refused what is deeper.
"""

import re

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''"""(?:[^"\\]|\\.|"(?!""))*"{3,5}|\'\'\'(?:[^']|'(?!''))*'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)
_PLAIN = re.compile(r"[^,\]}#\n]*")


class Positions:
    """Finds the line of a path, or of the nearest thing around it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._lines: dict[Path, int] = {(): 0}
        self._lists: dict[Path, int] = {}
        self._scan()

    def line(self, path: Path) -> int:
        """The line on which `path` stands; that of its parent when it is not in the text."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _mark(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        self._lines.setdefault(path, self._line)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found.group()

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            key = self._skip(_KEY)
            if not key:
                return keys
            keys.append(key[1:-1] if key[0] in "\"'" else key)
            self._skip(_BLANK)
            if self._next() != ".":
                return keys
            self._at += 1

    def _resolve(self, keys: list[str]) -> Path:
        """The path of a table header: a name on the way that is a list means its last element."""
        path: Path = ()
        for key in keys:
            path += (key,)
            if path in self._lists:
                path += (self._lists[path],)
        return path

    def _scan(self) -> None:
        table: Path = ()
        while True:
            self._skip(_SPACE)
            start = self._next()
            if not start:
                return
            if start == "[":
                double = self._text.startswith("[[", self._at)
                self._mark(())
                self._at += 2 if double else 1
                keys = self._keys()
                self._at += 2 if double else 1
                if double:
                    table = (*self._resolve(keys[:-1]), keys[-1])
                    self._lists[table] = self._lists.get(table, -1) + 1
                    self._mark(table)
                    table += (self._lists[table],)
                else:
                    table = self._resolve(keys)
                self._mark(table)
            else:
                self._assignment(table)

    def _assignment(self, table: Path) -> None:
        start = self._at
        keys = self._keys()
        if not keys:
            self._at = start + 1  # nothing a valid text has; never stand still
            return
        self._skip(_BLANK)
        self._at += 1  # the equals sign
        path = table
        for key in keys:
            path += (key,)
            self._mark(path)
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(_BLANK)
        start = self._next()
        if start == "[":
            self._at += 1
            number = 0
            while self._skip(_SPACE) is not None and self._next() not in ("]", ""):
                self._mark((*path, number))
                self._value((*path, number))
                number += 1
                self._skip(_SPACE)
                if self._next() == ",":
                    self._at += 1
            self._at += 1
        elif start == "{":
            self._at += 1
            while self._skip(_SPACE) is not None and self._next() not in ("}", ""):
                self._assignment(path)
                self._skip(_SPACE)
                if self._next() == ",":
                    self._at += 1
            self._at += 1
        elif start in ("'", '"'):
            self._skip(_STRING)
        else:
            self._skip(_PLAIN)
