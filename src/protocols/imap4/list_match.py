"""LIST patterns: `*` matches anything, `%` anything but the separator (RFC 3501 6.3.8).

All places that a pattern can have reached are the bits of one integer, moved on together by each character of the
name: linear in the name for any pattern, where a regular expression could be made to backtrack for seconds.
"""


class Pattern:
    """One compiled pattern."""

    __slots__ = ("_any", "_end", "_literals", "_percent", "_separator", "_wild", "text")

    def __init__(self, text: str, separator: str) -> None:
        self.text = text
        self._separator = separator
        self._literals: dict[str, int] = {}
        self._any = self._percent = 0
        bit = 1
        for index, character in enumerate(_collapsed(text)):
            bit = 1 << index
            if character == "*":
                self._any |= bit
            elif character == "%":
                self._percent |= bit
            else:
                self._literals[character] = self._literals.get(character, 0) | bit
        self._wild = self._any | self._percent
        self._end = 1 << len(_collapsed(text))

    @property
    def has_percent(self) -> bool:
        """It asks for one level of the hierarchy."""
        return bool(self._percent)

    def matches(self, name: str) -> bool:
        """The whole name matches. INBOX does in any case."""
        return self._run(name) or (name == "INBOX" and Pattern(self.text.upper(), self._separator)._run(name))

    def _run(self, name: str) -> bool:
        literals, any_, wild, separator = self._literals, self._any, self._wild, self._separator
        # Bit i: the first i elements have been matched; a wildcard may match nothing, so its successor is reached too.
        reached = 1 | (1 & wild) << 1
        for character in name:
            stays = any_ if character == separator else wild
            reached = (reached & literals.get(character, 0)) << 1 | reached & stays
            if not reached:
                return False
            reached |= (reached & wild) << 1
        return bool(reached & self._end)


def _collapsed(text: str) -> str:
    """Neighbouring wildcards as one: any `*` among them makes a `*`."""
    out: list[str] = []
    for character in text:
        if character in "*%" and out and out[-1] in "*%":
            if character == "*":
                out[-1] = "*"
        else:
            out.append(character)
    return "".join(out)
