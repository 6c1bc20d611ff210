"""SASLprep (RFC 4013): the form of a name or password that SCRAM computes with. Tables from the standard library.

Raises ValueError for what the profile prohibits; the caller decides whether that is a failure or a reason to take
the octets as they are.
"""

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(text: str) -> str:
    """The prepared text, as a query: unassigned code points are left alone (RFC 3454 7)."""
    if text.isascii():
        if text.isprintable():
            return text
        raise ValueError("a control character")
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    for prohibited in _PROHIBITED:
        if any(map(prohibited, prepared)):
            raise ValueError("a prohibited character")
    if any(map(stringprep.in_table_d1, prepared)):  # RFC 3454 6
        if any(map(stringprep.in_table_d2, prepared)):
            raise ValueError("left-to-right in right-to-left text")
        if not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])):
            raise ValueError("right-to-left text has another character at an end")
    return prepared
