"""Quoted strings and comments, shared by the readers of structured fields (RFC 5322 3.2).

Broken input is met in linear time: a quoted string without an end reaches to the end of the value, and so does a
comment. Nesting is counted, never recursed.
"""

import re

QUOTED = rb'"((?:[^"\\]++|\\.|\\\Z)*+)(?:"|\Z)'
"""Source of a pattern for a quoted string; its group is the content, still escaped."""

_QUOTED = re.compile(QUOTED, re.S).match
_INTERESTING = re.compile(rb'["(]').search
_COMMENT_STEP = re.compile(rb"(?:[^()\\]++|\\.|\\\Z)*+([()]|\Z)", re.S).match
_ESCAPED = re.compile(rb"\\(.)", re.S)


def unescape(content: bytes) -> bytes:
    """What the inside of a quoted string or comment stands for."""
    return _ESCAPED.sub(rb"\1", content) if b"\\" in content else content


def comment_end(value: bytes, start: int) -> int:
    """Offset behind the comment that opens at `start`; -1 when it never closes."""
    depth = 0
    position = start
    while step := _COMMENT_STEP(value, position):
        position = step.end()
        found = step[1]
        if found == b"(":
            depth += 1
        elif not found:
            break
        else:
            depth -= 1
            if depth == 0:
                return position
    return -1


def without_comments(value: bytes) -> bytes:
    """The value with each comment outside quoted strings replaced by a space; an endless comment is cut off."""
    pieces: list[bytes] = []
    position = 0
    while found := _INTERESTING(value, position):
        start = found.start()
        if found[0] == b'"':
            quoted = _QUOTED(value, start)
            end = quoted.end() if quoted else len(value)
            pieces.append(value[position:end])
        else:
            pieces.append(value[position:start] + b" ")
            end = comment_end(value, start)
            if end < 0:
                return b"".join(pieces)
        position = end
    pieces.append(value[position:])
    return b"".join(pieces)
