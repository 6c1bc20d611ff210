"""Does a reply match what a case expects? Variables, directives and counts as in imaptest.

A match is all or nothing, but says how far it got, so that the closest reply can be shown. A variable without a value
takes it from the reply: up to the first place where the octet after the variable in the pattern occurs. Variables that
a failed match took are given back; `$modseqN` is not, so that the reason stays visible.
"""

import re
from collections.abc import Sequence

from .values import Atom, List, Nil, Value, text_of

ALL = 1 << 30
"""Matched to the end."""

_VARIABLE = re.compile(rb"\$(?:\{([^}]*)\}|(\w*))")
_MODSEQ = re.compile(rb"modseq(\d+)")


class Mismatch(Exception):
    """A pattern cannot match."""


class Variables:
    """The values of one case, and the map from the sequence numbers at the beginning of a group to today's."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.sequence: list[int] = []
        """By number less one; 0: expunged."""
        self._modseq = (0, 0)
        self._taken: list[bytes] = []

    # --- what is sent ----------------------------------------------------------------------------------------------

    def expand(self, text: bytes, *, strict: bool = True) -> bytes:
        """Put in the values; `strict`: one without a value is an error of the case."""

        def value(found: re.Match[bytes]) -> bytes:
            name = found[1] if found[1] is not None else found[2]
            if name.isdigit():
                return self.relative(int(name))
            if name not in self.values:
                if strict:
                    raise Mismatch(f"uninitialized variable ${name.decode()}")
                return b"$"
            return self.values[name]

        out = []
        for index, part in enumerate(text.split(b"$$")):
            if index:
                out.append(b"$")
            out.append(_VARIABLE.sub(value, re.sub(rb"\$!\S* ?", b"", part)))
        return b"".join(out)

    def relative(self, number: int) -> bytes:
        if not 1 <= number <= len(self.sequence):
            return b"<out of range>"
        return b"%d" % self.sequence[number - 1] if self.sequence[number - 1] else b"<expunged>"

    def expunged(self, seq: int) -> None:
        """An EXPUNGE was received."""
        self.sequence = [0 if now == seq else now - 1 if now > seq else now for now in self.sequence]

    # --- what is received ------------------------------------------------------------------------------------------

    def match(self, pattern: Sequence[Value], reply: Sequence[Value], *, prefix: bool) -> int:
        """`ALL`, or how many values matched; with `prefix` the reply may go on after the pattern."""
        self._taken = []
        reached = self._match(pattern, reply, prefix)
        if reached != ALL:
            for name in self._taken:
                self.values.pop(name, None)
        return reached

    def _match(self, pattern: Sequence[Value], reply: Sequence[Value], prefix: bool) -> int:
        place = 0
        for done, wanted in enumerate(pattern):
            got = reply[place] if place < len(reply) else None
            place += 1
            if isinstance(wanted, List):
                if not isinstance(got, List):
                    return done
                reached = self._match_list(wanted.items, got.items)
                if reached != ALL:
                    return done + reached
            elif isinstance(wanted, Nil):
                if not isinstance(got, Nil):
                    return done
            elif wanted.text == b"$" and isinstance(got, List):
                pass
            elif wanted.text == b"$]":
                place -= 1
                while place < len(reply) and b"]" not in (text_of(reply[place]) or b""):
                    place += 1
                if place == len(reply):
                    return done
                place += 1
            elif got is None or isinstance(got, List):
                return done
            else:
                pattern_text, have = wanted.text, got.text
                if b"\0" in pattern_text:
                    # imaptest compares as C does, and the published cases count on it (append-binary).
                    pattern_text, have = pattern_text.split(b"\0")[0], have.split(b"\0")[0]
                try:
                    value, caseless = self._take(pattern_text, have)
                except Mismatch:
                    return done
                if prefix and done == len(pattern) - 1:
                    have = have[: len(value)]
                if (have.upper() != value.upper()) if caseless else (have != value):
                    return done
        return ALL if prefix or place == len(reply) else len(pattern)

    def _match_list(self, pattern: list[Value], reply: list[Value]) -> int:
        unordered, chain, exact = False, 1, None
        ignored: list[bytes] = []
        banned: list[bytes] = []
        first = 0
        for item in pattern:
            if not (isinstance(item, Atom) and item.text.startswith(b"$!")):
                break
            first += 1
            word, _, argument = item.text[2:].partition(b"=")
            if word == b"unordered":
                unordered, chain = True, int(argument or 1)
                exact = False if exact is None else exact
            elif word == b"ordered":
                unordered = False
            elif word in (b"extra", b"noextra"):
                exact = word == b"noextra"
            elif word == b"ignore":
                ignored.append(argument.upper())
            elif word == b"ban":
                banned.append(argument.upper())
        wanted = pattern[first:]
        if not unordered:
            return self._match(wanted, reply, False)
        if len(reply) % chain:
            return 0
        used = set()
        for done, start in enumerate(range(0, len(wanted), chain)):
            for place in range(0, len(reply), chain):
                if self._match(wanted[start : start + chain], reply[place : place + chain], False) == ALL:
                    used.add(place)
                    break
            else:
                return done
        rest = [
            text.upper() for place in range(0, len(reply), chain)
            if place not in used and (text := text_of(reply[place])) is not None
        ]  # fmt: skip
        unwelcome = any(name not in ignored for name in rest) if exact else any(name in banned for name in rest)
        return len(wanted) // chain if unwelcome else ALL

    def _take(self, pattern: bytes, text: bytes) -> tuple[bytes, bool]:
        """The pattern with its variables' values, new ones taken from the text; and whether case counts not."""
        out, caseless = b"", True
        while pattern:
            if pattern[:1] != b"$" or pattern[1:2] == b"$":
                pattern = pattern[1:] if pattern[:1] == b"$" else pattern
                if pattern[:1].upper() != text[:1].upper():
                    raise Mismatch
                out, pattern, text = out + pattern[:1], pattern[1:], text[1:]
                continue
            found = _VARIABLE.match(pattern)
            assert found is not None
            name = found[1] if found[1] is not None else found[2]
            pattern = pattern[found.end() :]
            if name.isdigit():
                value = self.relative(int(name))
            elif name.startswith(b"case:"):
                value, caseless = name[5:], False
            elif name and name in self.values:
                value = self.values[name]
            else:
                value = self._new(name, pattern, text)
            if not text.startswith(value):
                raise Mismatch
            out, text = out + value, text[len(value) :]
        return out, caseless

    def _new(self, name: bytes, pattern: bytes, text: bytes) -> bytes:
        """What a variable without a value takes."""
        after = self._take(pattern, text)[0] if pattern[:1] == b"$" else pattern
        end = text.upper().find(after[:1].upper()) if after else -1
        value = text if end < 0 else text[:end]
        if not name:
            return value
        if numbered := _MODSEQ.fullmatch(name):
            value = self._modseq_value(int(numbered[1]), value)
        else:
            self._taken.append(name)
        self.values[name] = value
        return value

    def _modseq_value(self, number: int, text: bytes) -> bytes:
        """`$modseq5` is at least 2 more than `$modseq3` was."""
        last, value = self._modseq
        if not text.isdigit():
            return b"$modseq-not-number"
        if last > number:
            return b"$modseq-order-mismatch"
        least = value + number - last
        self._modseq = (number, max(int(text), least))
        return text if int(text) >= least else b"$modseq-at-least-%d" % least
