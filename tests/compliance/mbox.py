"""The messages a case appends, from an mbox file, again from its beginning when it has come to the end."""

import datetime
import re
from pathlib import Path

_FROM = re.compile(
    rb"^From [^\n]*?([A-Z][a-z]{2}) +([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d(?::\d\d)?)(?: [A-Z]{3,4})? (\d{4})"
    rb"(?: ([+-]\d{4}))?[^\n]*\n",
    re.MULTILINE,
)


class Source:
    """Messages with CRLF line ends and the time of their From_ line."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        marks = list(_FROM.finditer(data))
        if not marks or marks[0].start():
            raise ValueError(f"{path} is no mbox file")
        self.messages: list[tuple[bytes, str]] = []
        for mark, after in zip(marks, [*marks[1:], None], strict=True):
            body = data[mark.end() : after.start() if after else len(data)]
            body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            self.messages.append((body, _date(mark)))
        self._next = 0

    def next(self) -> tuple[bytes, str]:
        """The next message and its date-time for APPEND."""
        message = self.messages[self._next % len(self.messages)]
        self._next += 1
        return message


def _date(mark: re.Match[bytes]) -> str:
    clock = mark[4].decode() + ("" if mark[4].count(b":") == 2 else ":00")
    day = datetime.datetime.strptime(f"{int(mark[3])} {mark[2].decode()} {mark[5].decode()}", "%d %b %Y")
    return f"{day.day:2d}-{day:%b-%Y} {clock} {(mark[6] or b'+0000').decode()}"
