"""Builds the Maildir that everything is measured on: realistic sizes, threads, attachments, always the same.

The messages come from a seeded generator, so that two machines measure the same bytes. Files have LF line ends and
`S=`/`W=` in their names, as a Dovecot or Postfix+LMTP system leaves them.
"""

import argparse
import base64
import os
import random
import shutil
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

WORD_LIST = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one"
    " you were all her she there would their we him been has when who will no more if out so said what up its about"
    " into than them can only other time new some could these two may first then do any like my now over such our man"
    " me even most made after also did many off before must well back through years where much your way down should"
    " because long each just state those people too mr how little good world make very year still see own work men day"
    " get here between both life being under three never know same last another while us might great old against"
    " project meeting invoice release server mailbox budget schedule contract customer delivery report review"
)
WORDS = WORD_LIST.split()
COMMON, RARE = "schedule", "quokka"
PEOPLE = [
    (f"{first} {last}", f"{first}.{last}@{domain}".lower())
    for first in ("Anna", "Boris", "Chloe", "David", "Elif", "Farid", "Grace", "Hanna", "Ivan", "Julia", "Kofi", "Lena")
    for last in ("Becker", "Costa", "Dupont", "Evans", "Fischer", "Garcia", "Hughes", "Ivanov", "Jansen", "Keller")
    for domain in ("example.org", "example.com", "example.net")
]
ENCODED = ("=?utf-8?q?J=C3=BCrgen_M=C3=BCller?=", "=?iso-8859-1?q?Ren=E9e_Lef=E8vre?=", "=?utf-8?b?5bGx55Sw5aSq6YOO?=")
EPOCH = 1_700_000_000
SPAN = 80_000_000


def text(rnd: random.Random, octets: int) -> str:
    """Words in lines of some 70 characters, about that many octets."""
    lines, line, size = [], [], 0
    width = 0
    while size < octets:
        word = rnd.choice(WORDS)
        line.append(word)
        width += len(word) + 1
        if width > 68:
            lines.append(" ".join(line))
            size += width
            line, width = [], 0
    return "\n".join([*lines, " ".join(line)]) + "\n"


def address(rnd: random.Random) -> str:
    name, mail = rnd.choice(PEOPLE)
    if rnd.random() < 0.05:
        name = rnd.choice(ENCODED)
    return f"{name} <{mail}>" if rnd.random() < 0.9 else mail


def messages(count: int, seed: int = 1) -> Iterator[tuple[int, str, bytes]]:
    """Yields (seconds since 1970, Maildir flags, message) in order of arrival."""
    rnd = random.Random(seed)
    texts = [text(rnd, size) for size in (300, 600, 900, 1500, 2500, 4000, 7000) for _ in range(40)]
    blobs = [
        base64.encodebytes(rnd.randbytes(size)).decode()
        for size in (8_000, 20_000, 40_000, 90_000, 250_000, 900_000)
        for _ in range(4)
    ]
    weights = [40] * 4 + [30] * 4 + [20] * 4 + [9] * 4 + [4] * 4 + [1] * 4
    recent: list[tuple[str, str]] = []
    for number in range(count):
        when = EPOCH + number * SPAN // count
        ident = f"<{number:07d}.{rnd.getrandbits(40):010x}@mail.{rnd.choice(PEOPLE)[1].split('@')[1]}>"
        head = [
            f"Return-Path: <{rnd.choice(PEOPLE)[1]}>",
            f"Received: from relay{rnd.randrange(40)}.example.net (relay.example.net [192.0.2.{rnd.randrange(250)}])",
            f"\tby mx.example.org (Postfix) with ESMTPS id {rnd.getrandbits(44):011X}",
            f"\tfor <user@example.org>; {formatdate(when)}",
        ]
        if rnd.random() < 0.6:
            head += [
                "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=mail; t=" + str(when) + ";",
                "\tb=" + base64.b64encode(rnd.randbytes(128)).decode()[:170],
            ]
        subject = " ".join(rnd.choice(WORDS) for _ in range(rnd.randrange(2, 9)))
        if recent and rnd.random() < 0.55:
            parent, old = rnd.choice(recent)
            subject = old if old.startswith("Re: ") else "Re: " + old
            head += [f"In-Reply-To: {parent}", f"References: {parent}"]
        head += [
            f"From: {address(rnd)}",
            f"To: {', '.join(address(rnd) for _ in range(rnd.choice((1, 1, 1, 2, 3, 8))))}",
            f"Subject: {subject}",
            f"Date: {formatdate(when - rnd.randrange(600))}",
            f"Message-ID: {ident}",
            "MIME-Version: 1.0",
        ]
        if rnd.random() < 0.3:
            head.insert(8, f"Cc: {', '.join(address(rnd) for _ in range(rnd.choice((1, 2, 5))))}")
        body = rnd.choice(texts)
        if number % 5000 == 4999:
            body += f"The {RARE} appears once.\n"
        kind = rnd.random()
        if kind < 0.45:
            head.append("Content-Type: text/plain; charset=utf-8")
        else:
            html = f"<html><body><p>{body}</p></body></html>\n"
            alternative = (
                "--alt\nContent-Type: text/plain; charset=utf-8\n\n" + body + "\n--alt\n"
                "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + html + "\n--alt--\n"
            )
            if kind < 0.75:
                head.append('Content-Type: multipart/alternative; boundary="alt"')
                body = alternative
            else:
                blob = rnd.choices(blobs, weights)[0]
                head.append('Content-Type: multipart/mixed; boundary="mix"')
                body = (
                    '--mix\nContent-Type: multipart/alternative; boundary="alt"\n\n' + alternative + "\n--mix\n"
                    'Content-Type: application/pdf; name="report.pdf"\nContent-Transfer-Encoding: base64\n'
                    'Content-Disposition: attachment; filename="report.pdf"\n\n' + blob + "\n--mix--\n"
                )
        flags = "S" if rnd.random() < 0.85 else ""
        if flags and rnd.random() < 0.2:
            flags = "RS"
        if rnd.random() < 0.03:
            flags = "F" + flags
        recent.append((ident, subject))
        if len(recent) > 200:
            recent.pop(rnd.randrange(100))
        yield when, flags, ("\n".join(head) + "\n\n" + body).encode()


def build(folder: Path, count: int) -> Path:
    """Make `folder` a Maildir of `count` messages unless it is one already; built aside and renamed."""
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    total = 0
    for number, (when, flags, data) in enumerate(messages(count)):
        lines = data.count(b"\n")
        name = f"{when}.M{number:06d}P1.mx,S={len(data)},W={len(data) + lines}:2,{flags}"
        path = folder / "cur" / name
        path.write_bytes(data)
        os.utime(path, (when, when))
        total += len(data)
    past = time.time() - 60
    for name in ("cur", "new"):
        os.utime(folder / name, (past, past))
    (folder / "complete").write_text(f"{count} messages, {total} octets\n")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    began = time.monotonic()
    build(options.folder, options.messages)
    print((options.folder / "complete").read_text().strip(), f"in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
