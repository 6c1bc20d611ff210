"""The same maildrop over POP3, from Dovecot and from us: numbers, UIDLs, sizes and every octet of every message."""

import re
import socket
from pathlib import Path

from tests.differential.dovecot import Dovecot
from tests.serving import PASSWORD, serving

ODD = [
    b"Subject: plain\n\nbody\n",
    b"Subject: dots\n\n.\n..\n...a\n.b\n",
    b"Subject: no end\n\nlast line without an end",
    b"Subject: crlf\r\n\r\nas it was sent\r\n.\r\nmore\r\n",
    b"Subject: mixed\n\nlf\ncrlf\r\nlf\n",
    b"Subject: bare\n\ncr\rin the middle\r\n\rat the start\n",
    b"Subject: eight\n\n\xe4\xf6\xfc \xff\n",
    b"Subject: header only\n",
    b"Subject: header without end",
    b"\nbody only\n",
    b"no header at all\nbut text\n",
    b".dot: first\n\n.\n",
    b"Subject: long\n\n" + b"x" * 300_000 + b"\n" + b".\n" * 2000,
    b"Subject: split\n\n" + b"y" * (128 * 1024 - 18) + b"\n.\nafter the piece\n",
    b"Subject: last\n\nlast\n",
]
UIDVALIDITY = 1795481512


def build(maildir: Path, *, with_pop3_words: bool) -> None:
    """Files in cur/, with sizes in some names and not in others, and a uidlist as Dovecot writes it."""
    for name in ("cur", "new", "tmp"):
        (maildir / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for number, data in enumerate(ODD, 1):
        name = f"{UIDVALIDITY}.M{number}P1.host"
        if number % 2:
            virtual = len(re.sub(rb"(?<!\r)\n", b"\r\n", data))
            name += f",S={len(data)},W={virtual}"
        (maildir / "cur" / f"{name}:2,").write_bytes(data)
        words = ""
        if with_pop3_words:
            words = {2: "Pold-uidl.2 ", 3: "P ", 5: "P ", 7: "O2 ", 9: "O1 Pother ", 11: "O2 "}.get(number, "")
        lines.append(f"{number * 3} {words}:{name}")
    header = f"3 V{UIDVALIDITY} N{len(ODD) * 3 + 1} G7578f72fa8df046b1756000083ecc375"
    (maildir / "dovecot-uidlist").write_text("\n".join([header, *lines, ""]))


class Pop3:
    """The plainest client: octets as they come."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rb")
        assert self.file.readline().startswith(b"+OK")
        self.line(b"USER alice")
        self.line(b"PASS " + PASSWORD.encode())

    def line(self, command: bytes) -> bytes:
        self.socket.sendall(command + b"\r\n")
        answer = self.file.readline()
        assert answer.startswith(b"+OK"), (command, answer)
        return answer

    def lines(self, command: bytes) -> bytes:
        self.line(command)
        out = []
        while (line := self.file.readline()) != b".\r\n":
            assert line
            out.append(line)
        return b"".join(out)

    def quit(self) -> None:
        self.line(b"QUIT")
        assert self.file.read() == b""
        self.socket.close()


def picture(port: int) -> dict[str, bytes]:
    """All that a POP3 client can see."""
    client = Pop3(port)
    seen = {"stat": client.line(b"STAT"), "list": client.lines(b"LIST"), "uidl": client.lines(b"UIDL")}
    for number in range(1, len(ODD) + 1):
        seen[f"uidl {number}"] = client.line(b"UIDL %d" % number)
        seen[f"list {number}"] = client.line(b"LIST %d" % number)
        seen[f"retr {number}"] = client.lines(b"RETR %d" % number)
        for lines in (0, 1, 2, 1999):
            seen[f"top {number} {lines}"] = client.lines(b"TOP %d %d" % (number, lines))
    client.quit()
    return seen


def compare(folder: Path, *, with_pop3_words: bool) -> dict[str, bytes]:
    dovecot = Dovecot(folder / "mail")
    build(dovecot.maildir(), with_pop3_words=with_pop3_words)
    with serving(folder) as server:
        ours = picture(server.pop3)
        again = picture(server.pop3)
    with dovecot:
        theirs = picture(dovecot.pop3_port)
    assert ours.keys() == theirs.keys()
    for question, answer in theirs.items():
        # The one known difference: Dovecot 2.3 does not double a dot that is the first octet of a message, which
        # RFC 1939 3 demands of every line.
        if answer.startswith(b".dot: first"):
            answer = b"." + answer
        assert ours[question] == answer, question
        assert again[question] == answer, question
    return ours


def test_everything_a_client_sees_is_the_same(folder: Path) -> None:
    seen = compare(folder, with_pop3_words=False)
    assert seen["uidl 1"] == b"+OK 1 00000003%08x\r\n" % UIDVALIDITY


def test_the_words_for_pop3_in_the_uidlist_are_honoured(folder: Path) -> None:
    """`P` (also the empty one, which stands for the file's name) and `O`."""
    seen = compare(folder, with_pop3_words=True)
    uidls = [line.split()[1] for line in seen["uidl"].splitlines()]
    assert uidls[0] == b"other"
    assert uidls[1:3] == [b"00000015%08x" % UIDVALIDITY, b"00000021%08x" % UIDVALIDITY]
    assert b"old-uidl.2" in uidls
    assert sum(uidl.startswith(b"%d.M" % UIDVALIDITY) for uidl in uidls) == 2


def test_sizes_add_up(folder: Path) -> None:
    """What STAT and LIST say is what RETR sends, dots taken out again (RFC 1939 11)."""
    dovecot = Dovecot(folder / "mail")
    build(dovecot.maildir(), with_pop3_words=False)
    with serving(folder) as server:
        seen = picture(server.pop3)
    sizes = [int(line.split()[1]) for line in seen["list"].splitlines()]
    assert sum(sizes) == int(seen["stat"].split()[2])
    for number, size in enumerate(sizes, 1):
        sent = re.sub(rb"(?m)^\.", b"", seen[f"retr {number}"])
        assert len(sent) - (0 if ODD[number - 1].endswith(b"\n") else 2) == size, number
