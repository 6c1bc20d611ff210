"""Mail that is broken or extreme in the ways in which mail is: what a server has to serve as well as can be.

Each message says in its subject what is wrong with it. Lines end with LF; where other octets matter they are there
on purpose.
"""

import base64
from collections.abc import Iterator


def _head(owner: str, subject: str, *fields: str) -> bytes:
    first = (f"From: odd@example.net\nTo: {owner}\nSubject: {subject}", "Date: Mon, 6 Oct 2025 10:00:00 +0200")
    return "\n".join((*first, *fields)).encode() + b"\n\n"


def _nested(depth: int) -> bytes:
    inner = b"Content-Type: text/plain\n\nThe innermost part.\n"
    for level in range(depth, 0, -1):
        mark = b"level%d" % level
        inner = b'Content-Type: multipart/mixed; boundary="%s"\n\n--%s\n%s\n--%s--\n' % (mark, mark, inner, mark)
    return inner


def oddities(owner: str) -> Iterator[bytes]:
    """All of them."""
    plain, base64_field = "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64"
    mixed = 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="mark"'
    yield (
        _head(owner, "base64 that ends early", plain, base64_field)
        + base64.b64encode(b"cut off in the mid")[:-3]
        + b"\n"
    )
    yield (
        _head(owner, "base64 with junk in it", plain, base64_field)
        + b"SGVs!!bG8s\n*** a gateway was here ***\nIHdvcmxk\n"
    )
    yield (
        _head(owner, "a charset that does not exist", "Content-Type: text/plain; charset=x-klingon-9")
        + b"nuqneH \xe4\xf6\n"
    )
    yield _head(owner, "no charset, eight bits", "Content-Type: text/plain") + "Grüße ohne Angabe\n".encode("latin-1")
    yield _head(owner, "an encoding that does not exist", plain, "Content-Transfer-Encoding: rot13") + b"Uryyb\n"
    yield _head(owner, "a boundary that never comes", mixed) + b"There is no part here at all.\n"
    yield _head(owner, "the last boundary is missing", mixed) + b"--mark\nContent-Type: text/plain\n\nno end in sight\n"
    yield _head(owner, "a multipart without boundary", "Content-Type: multipart/mixed") + b"--x\n\ntext\n--x--\n"
    yield _head(owner, "thirty levels of multipart")[:-1] + _nested(30)
    yield (
        _head(
            owner,
            "five hundred addresses",
            "Cc: " + ",\n ".join(f"Guest {n} <guest{n}@example.com>" for n in range(500)),
        )
        + b"All of you!\n"
    )
    yield (
        _head(
            owner,
            "a group, a route and comments",
            'Cc: All: a@example.com, "B, C" <b@example.com>;, <@relay:d@example.com>, e(comment (nested))@example.com',
        )
        + b"RFC 822 lives.\n"
    )
    yield b"From: raw@example.net\nSubject: Gr\xfc\xdfe mit acht Bits im Kopf\nTo: \xe4lice@example.org\n\nraw header\n"
    yield (
        _head(owner, "=?utf-8?b?R3LDvMOfZQ==?= =?utf-8?q?_und_ein_kaputtes_?= =?utf-8?b?%%%?= =?x?q?w?=")
        + b"encoded words\n"
    )
    yield b"Subject: no From, no Date, no Message-ID\n\nSomebody wrote this some day.\n"
    yield b"This line is no header field.\nSubject: a line without a colon\nFrom: odd@example.net\n\nbody\n"
    yield _head(owner, "only a header")[:-1]
    yield b"\nNo header at all, only this body.\n"
    yield (
        _head(owner, "a date that is none", "Date: yesterday, I think", "Date: Fri, 31 Feb 2025 25:61:00 +9999")
        + b"two dates\n"
    )
    yield _head(owner, "one line of 20,000 characters") + b"long " * 4000 + b"\n"
    yield _head(owner, "a folded subject that\n goes on\n\tand on") + b"folding\n"
    yield _head(owner, "bare carriage returns and a NUL") + b"one\rtwo\r\rthree\n\0four\n"
    yield _head(owner, "CRLF line ends in the file").replace(b"\n", b"\r\n") + b"as some gateways leave them\r\n"
    yield _head(owner, "a From line in the text") + b"\nFrom here on it gets better.\n>From there too.\n.\n..\n"
    yield _head(owner, "uuencoded in the text") + b"begin 644 cat.txt\n#0V%T\n`\nend\n"
    yield (
        _head(
            owner,
            "a file name in pieces",
            "Content-Type: application/x-thing;\n name*0*=utf-8''Pl%C3%A4ne;\n name*1=\" 2025.bin\"",
            base64_field,
        )
        + b"AAEC\n"
    )
    yield _head(owner, "a parameter without end", 'Content-Type: text/plain; charset="utf-8; name="x') + b"quoted\n"
    yield _head(owner, "RTL \u202egnitset\u202c and zero\u200bwidth") + "מימין לשמאל ‮\n".encode()
