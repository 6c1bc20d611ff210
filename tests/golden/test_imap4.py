"""Transcripts of IMAP sessions, run through bare engines over a real account: tests/golden/imap4/*.txt.

    # a comment
    deliver INBOX [FLAGS]         a message arrives by another program; its lines follow as `M| …`, ended by LF
    connect 2 [stranger] [tls]    a further session (1 is there): `stranger` is not logged in yet
    C: text                       the client says a line; neighbouring ones are sent in one packet. `2C:` for session 2
    C| text                       … octets of a literal that the line before announced as {#} or {#+}; C> is the same
                                  without a line end at its end
    S: text                       the server says just this line. `$name` binds or repeats a word, `$$` is a dollar
                                  sign, `...` is any text
    S| text                       … octets of a literal, announced as {#}; S> as above
    T:                            the last time-out has passed
    X: reason                     the engine has closed the connection

Each transcript is run with every block in one packet, and once more octet by octet.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .driver import Connection, World

TRANSCRIPTS = sorted((Path(__file__).parent / "imap4").glob("*.txt"))
_LINE = re.compile(r"(\d*)([CSTX])([:|>]) ?(.*)")


@dataclass
class Block:
    """Neighbouring lines of one kind and session."""

    kind: str
    session: str
    line: int
    open: bool = False
    texts: list[tuple[str, str]] = field(default_factory=list)
    """(mark, text)"""

    def lines(self) -> list[str]:
        """Whole wire lines, literals with their announcement counted."""
        out: list[str] = []
        position = 0
        current = ""
        while position < len(self.texts):
            mark, text = self.texts[position]
            assert mark == ":", f"line {self.line}: a literal without an announcement"
            position += 1
            current += text
            if not re.search(r"\{#\+?\}$", text):
                out.append(current)
                current = ""
                continue
            content = ""
            while position < len(self.texts) and self.texts[position][0] != ":":
                content += self.texts[position][1] + ("\r\n" if self.texts[position][0] == "|" else "")
                position += 1
            current = current.replace("{#", f"{{{len(content)}") + "\r\n" + content
        # The block ends behind a literal, inside a line.
        self.open = bool(current)
        return [*out, current] if current else out


def blocks(transcript: Path) -> Iterator[Block]:
    """A transcript's blocks; other lines come as blocks of kind ` `."""
    open_block: Block | None = None
    for number, line in enumerate(transcript.read_text(encoding="latin-1").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            if open_block is not None:
                yield open_block
                open_block = None
            if line and not line.startswith("#"):
                yield Block(" ", "", number, texts=[(":", line)])
            continue
        session, kind, mark, text = match.groups()
        session = session or (open_block.session if open_block and mark != ":" else "1")
        if open_block is None or (open_block.kind, open_block.session) != (kind, session) or kind in "TX":
            if open_block is not None:
                yield open_block
            open_block = Block(kind, session, number)
        open_block.texts.append((mark, text))
    if open_block is not None:
        yield open_block


class Play:
    """One run of a transcript."""

    def __init__(self, folder: Path, chunk: int) -> None:
        self.chunk = chunk
        self.world = World(folder)
        self.sessions: dict[str, Connection] = {}
        self.said: dict[str, bytes] = {}
        self.names: dict[str, str] = {}

    def connect(self, name: str, words: list[str]) -> None:
        facts = {"tls": True, "starttls": False} if "tls" in words else {}
        if "nopassword" in words:
            facts["cleartext"] = False
        connection = self.world.connect(login="stranger" not in words, **facts)
        self.sessions[name] = connection
        self.said[name] = connection.greeting if "stranger" in words else b""

    def run(self, transcript: Path) -> None:
        pending: Block | None = None
        message: list[str] = []
        for block in blocks(transcript):
            where = f"{transcript.name}:{block.line}"
            text = block.texts[0][1]
            if block.kind == " ":
                if text.startswith("M|"):
                    message.append(text[2:].removeprefix(" ") + "\n")
                    continue
                self.deliver(pending, message)
                message, pending = [], None
                words = text.split()
                if words[0] == "deliver":
                    pending = block
                elif words[0] == "connect":
                    self.connect(words[1], words[2:])
                else:
                    pytest.fail(f"{where}: {text}")
                continue
            self.deliver(pending, message)
            message, pending = [], None
            if block.session not in self.sessions:
                self.connect(block.session, [])
            connection = self.sessions[block.session]
            if block.kind == "C":
                lines = [self.filled(line) for line in block.lines()]
                data = "".join(line + "\r\n" for line in lines).encode("latin-1")
                if block.open:
                    data = data[:-2]
                self.said[block.session] += connection.feed(data, self.chunk)
                for name, other in self.sessions.items():
                    self.said[name] += other.taken()
            elif block.kind == "S":
                lines = block.lines()
                for line in lines:
                    self.expect(block.session, line, "" if block.open and line is lines[-1] else "\r\n", where)
            elif block.kind == "T":
                connection.engine.timer()
                connection.pump()
                self.said[block.session] += connection.taken()
            else:
                assert connection.closed == text, where
        for name, rest in self.said.items():
            assert not rest, f"{transcript.name}: session {name} was also told {rest!r}"

    def deliver(self, block: Block | None, message: list[str]) -> None:
        if block is not None:
            words = block.texts[0][1].split()
            self.world.deliver(words[1], "".join(message).encode("latin-1"), words[2] if len(words) > 2 else "")

    def filled(self, line: str) -> str:
        return re.sub(r"\$(\$|\w+)", lambda found: "$" if found[1] == "$" else self.names[found[1]], line)

    def expect(self, session: str, line: str, end: str, where: str) -> None:
        pattern, bound = "", []
        for piece in re.split(r"(\$\$|\$\w+|\.\.\.)", line):
            if piece == "$$":
                pattern += r"\$"
            elif piece == "...":
                pattern += r"[^\r\n]*"
            elif piece.startswith("$") and len(piece) > 1:
                name = piece[1:]
                if name in self.names:
                    pattern += re.escape(self.names[name])
                elif name in bound:
                    pattern += f"(?P={name})"
                else:
                    bound.append(name)
                    pattern += rf"(?P<{name}>[^\s()\[\]]+)"
            else:
                pattern += re.escape(piece)
        text = self.said[session].decode("latin-1")
        match = re.compile(pattern + end).match(text)
        assert match is not None, f"{where}: expected {line!r}, but was told {text[:2000]!r}"
        self.names |= {name: match[name] for name in bound}
        self.said[session] = self.said[session][match.end() :]


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 20


@pytest.mark.parametrize("chunk", [0, 1], ids=["packets", "octets"])
@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(transcript: Path, chunk: int, tmp_path: Path) -> None:
    play = Play(tmp_path / "world", chunk)
    try:
        play.run(transcript)
    finally:
        play.world.close()
