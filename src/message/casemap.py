"""i;unicode-casemap (RFC 5051): the one form in which texts are compared, for search keys, cached texts and sorting.

A character is mapped to its simple titlecase, then replaced by its decomposition, canonical or compatible. What a
decomposition gives is mapped again, so that `ª`, `ﬁ` and `ǆ` meet `A`, `FI` and `DŽ` and mapping twice changes nothing.
Hangul syllables have no decomposition in the table that RFC 5051 names and stay.

`VERSION` is part of the key of whatever is kept in this form; it grows whenever the result changes for any text.
"""

import re
import unicodedata

VERSION = 1

_NON_ASCII = re.compile(r"[^\x00-\x7f]++")


def _title(char: str) -> str:
    """Simple titlecase: Python knows only the full one, which may be longer and is then not meant."""
    titled = char.title()
    return titled if len(titled) == 1 else char


def _mapped(char: str) -> str:
    result: list[str] = []
    pending = [char]
    while pending:
        titled = _title(pending.pop())
        decomposition = unicodedata.decomposition(titled)
        if decomposition:
            codes = [code for code in decomposition.split() if not code.startswith("<")]
            pending.extend(chr(int(code, 16)) for code in reversed(codes))
        else:
            result.append(titled)
    return "".join(result)


class _Table(dict[int, str]):
    """Filled as characters are met; at most one entry per code point."""

    def __missing__(self, code: int) -> str:
        mapped = self[code] = _mapped(chr(code))
        return mapped


_TABLE = _Table()
_FEW = 64


def casemap(text: str) -> str:
    """The text as it is compared."""
    if text.isascii():
        return text.upper()
    changing = [char for char in set("".join(_NON_ASCII.findall(text))) if _TABLE[ord(char)] != char]
    # bytes.upper knows ASCII only, which is what is wanted here; a surrogate is mapped to itself.
    text = text.encode("utf-8", "surrogatepass").upper().decode("utf-8", "surrogatepass")
    if len(changing) > _FEW:
        return text.translate(_TABLE)
    # What a mapping gives is never changed again: so the order does not matter. A text has few characters that change,
    # and one pass for each is much quicker than a look into a table for every character.
    for char in changing:
        text = text.replace(char, _TABLE[ord(char)])
    return text
