"""Readers: each turns one TOML value into one typed setting, or says what was expected instead.

A reader for a single value raises `Wrong`; a reader for a table or list reports each wrong member at its own place
and goes on, so that one run shows every error. Nothing here knows which settings exist.
"""

import dataclasses
import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from .findings import Finding
from .positions import Path, Positions

T = TypeVar("T")
REQUIRED: Final = object()
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Wrong(ValueError):
    """A value that cannot be used; the text says what was expected."""


class Place:
    """Where in the file a value stands, and where to report what is wrong with it."""

    def __init__(self, file: str, positions: Positions, findings: list[Finding], path: Path = ()) -> None:
        self.file = file
        self.path = path
        self._positions = positions
        self._findings = findings

    def __truediv__(self, step: str | int) -> "Place":
        return Place(self.file, self._positions, self._findings, (*self.path, step))

    def finding(self, text: str) -> Finding:
        """What is to be said of this place."""
        return Finding(self.file, self._positions.line(self.path), dotted(self.path), text)

    def report(self, text: str) -> None:
        """An error at this place."""
        self._findings.append(self.finding(text))


Reader = Callable[[Any, Place], T]


def dotted(path: Path) -> str:
    """The path as an administrator would name it: `auth.backend[0].path`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else f'"{step}"'
            text += f".{name}" if text else name
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word that was probably meant."""
    words = sorted(known)
    close = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known are: {', '.join(words)}"


def setting(read: Reader[Any], default: Any = REQUIRED) -> Any:
    """A field of a settings class: how it is read, and its value when the file does not have it."""
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata={"read": read})
    return dataclasses.field(default=default, metadata={"read": read})


def kind_of(value: Any) -> str:
    """TOML's name for the type of a value."""
    names = {
        bool: "true/false",
        int: "a number",
        float: "a number with a fraction",
        str: "text",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


def text(value: Any, place: Place) -> str:
    """Any text without control characters."""
    if not isinstance(value, str):
        raise Wrong(f"expected text in quotes, found {kind_of(value)}")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise Wrong("control characters are not allowed")
    return value


def filled(value: Any, place: Place) -> str:
    """Text that is not empty."""
    if not text(value, place):
        raise Wrong("must not be empty")
    return str(value)


def absolute(value: Any, place: Place) -> str:
    """An absolute path without `..`."""
    path = filled(value, place)
    if not path.startswith("/"):
        raise Wrong(f"expected an absolute path, found {path!r}")
    if ".." in path.split("/"):
        raise Wrong("a path must not have .. in it")
    return path


def flag(value: Any, place: Place) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Wrong(f"expected true or false, found {kind_of(value)}")
    return value


def count(low: int, high: int) -> Reader[int]:
    """A whole number in a range."""

    def read(value: Any, place: Place) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(f"expected a whole number, found {kind_of(value)}")
        if not low <= value <= high:
            raise Wrong(f"expected {low} to {high}, found {value}")
        return value

    return read


def one_of(*choices: str) -> Reader[str]:
    """One of some words."""

    def read(value: Any, place: Place) -> str:
        word = text(value, place)
        if word not in choices:
            raise Wrong(f"{word!r} is not known; {nearest(word, choices)}")
        return word

    return read


_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))?\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)


def size(low: int, high: int) -> Reader[int]:
    """Octets: a number, or text like "50 MB" (10**6) or "16 GiB" (2**30)."""

    def read(value: Any, place: Place) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            octets = value
        elif isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
            base = 1024 if found[4] else 1000
            if found[4] and not found[3]:
                raise Wrong(f'expected a size like "50 MB", found {value!r}')
            scale = base ** " kmgt".index(found[3].lower() or " ")
            octets = int(found[1]) * scale + (int(found[2]) * scale // 10 ** len(found[2]) if found[2] else 0)
        else:
            raise Wrong(f'expected a size like "50 MB", found {value!r}')
        if not low <= octets <= high:
            raise Wrong(f"expected {low} to {high} octets, found {octets}")
        return octets

    return read


_DURATION = re.compile(r"([0-9]{1,9})\s*(s|seconds?|m|min|minutes?|h|hours?|d|days?)?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(low: int, high: int, why: str = "") -> Reader[int]:
    """Seconds: a number, or text like "30 min"."""

    def read(value: Any, place: Place) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            seconds = value
        elif isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
            seconds = int(found[1]) * _SECONDS[(found[2] or "s")[0]]
        else:
            raise Wrong(f'expected a duration like "30 min", found {value!r}')
        if not low <= seconds <= high:
            raise Wrong(f"expected {low} to {high} seconds, found {seconds}" + (f" ({why})" if why else ""))
        return seconds

    return read


def network(value: Any, place: Place) -> Network:
    """An IP network or a single address."""
    try:
        return ipaddress.ip_network(filled(value, place))
    except ValueError:
        raise Wrong(f'expected a network like "10.0.0.0/8" or "::1", found {value!r}') from None


def list_of(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list; wrong members are reported each by its own line and left out."""

    def read_all(value: Any, place: Place) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise Wrong(f"expected a list, found {kind_of(value)}")
        members = []
        for number, member in enumerate(value):
            try:
                members.append(read(member, place / number))
            except Wrong as wrong:
                (place / number).report(str(wrong))
        return tuple(members)

    return read_all


def table(kind: type[T]) -> Reader[T]:
    """A table that is a settings class; unknown, missing and wrong keys are reported, the defaults stand in."""

    def read(value: Any, place: Place) -> T:
        if not isinstance(value, dict):
            raise Wrong(f"expected a table, found {kind_of(value)}")
        fields = {field.name: field for field in dataclasses.fields(kind) if "read" in field.metadata}  # type: ignore[arg-type]  # only dataclasses come here
        for key in value:
            if key not in fields:
                (place / key).report(f"unknown key; {nearest(key, fields)}")
        found: dict[str, Any] = {}
        for name, field in fields.items():
            if name not in value:
                if field.default is REQUIRED:
                    (place / name).report("is missing")
                continue
            try:
                found[name] = field.metadata["read"](value[name], place / name)
            except Wrong as wrong:
                (place / name).report(str(wrong))
        return kind(**found)

    return read


def mapping_of(read: Reader[T]) -> Reader[dict[str, T]]:
    """A table whose keys are free, for example user names."""

    def read_all(value: Any, place: Place) -> dict[str, T]:
        if not isinstance(value, dict):
            raise Wrong(f"expected a table, found {kind_of(value)}")
        found = {}
        for key, member in value.items():
            try:
                found[key] = read(member, place / key)
            except Wrong as wrong:
                (place / key).report(str(wrong))
        return found

    return read_all
