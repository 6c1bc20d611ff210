"""Where the sample mail is written: one user's desk with a clock and a die of its own, so that all of it repeats."""

import datetime
import random
import textwrap
from dataclasses import dataclass
from email.utils import format_datetime

from ..model.flags import FLAGGED, SEEN
from .sample_parts import Body
from .sample_texts import ALICE, BOB, PEOPLE, SENTENCES, Person


@dataclass(frozen=True, slots=True)
class Sample:
    """One message and where it lies. `flags` is a mask of model.flags, `date` seconds since 1970."""

    folder: str
    data: bytes
    date: int
    flags: int = 0
    keywords: tuple[str, ...] = ()


class Desk:
    """Composes one user's mail."""

    def __init__(self, owner: Person) -> None:
        self.owner = owner
        self.other = BOB if owner is ALICE else ALICE
        self.chance = random.Random(f"culverhouse {owner.address}")  # noqa: S311 - the point is that it repeats
        self.count = 0
        self.now = datetime.datetime(2024, 9, 2, 8, 0, tzinfo=datetime.UTC)

    def later(self, hours: float) -> datetime.datetime:
        """The time moves on; senders sit in different time zones."""
        self.now += datetime.timedelta(hours=hours, seconds=self.chance.randrange(3600))
        offset = self.chance.choice((0, 0, 60, 60, 120, -300, -420, 330, 540))
        return self.now.astimezone(datetime.timezone(datetime.timedelta(minutes=offset)))

    def message_id(self, host: str = "mail.example.org") -> str:
        """The next one."""
        self.count += 1
        return f"<{self.now:%Y%m%d%H%M%S}.{self.count:04}@{host}>"

    def boundary(self) -> str:
        """Of a multipart."""
        return f"=_{self.owner.first.lower()}_{self.count:04}_{self.chance.randrange(10**8):08}"

    def prose(self, sentences: int) -> str:
        """A paragraph."""
        return textwrap.fill(" ".join(self.chance.sample(SENTENCES, sentences)), 72)

    def letter(
        self, fields: list[tuple[str, str]], body: Body, when: datetime.datetime, ident: str | None = None
    ) -> bytes:
        """A whole message."""
        host = self.chance.choice(("mx1", "mx2"))
        head = [
            f"Return-Path: <{self.chance.choice(PEOPLE).address}>" if self.count % 3 else "Return-Path: <>",
            f"Received: from relay.example.com (relay.example.com [192.0.2.{self.count % 250 + 1}])\n"
            f"\tby {host}.example.org (Postfix) with ESMTPS id {self.count:06X}\n"
            f"\tfor <{self.owner.address}>; {format_datetime(when.astimezone(datetime.UTC))}",
            *(f"{name}: {value}" for name, value in fields),
            f"Date: {format_datetime(when)}",
            f"Message-ID: {ident or self.message_id()}",
            "MIME-Version: 1.0",
            *body.fields,
        ]
        return "\n".join(head).encode() + b"\n\n" + body.content

    def place(
        self,
        data: bytes,
        when: datetime.datetime,
        folder: str | None = None,
        flags: int | None = None,
        keywords: tuple[str, ...] = (),
    ) -> Sample:
        """Where it lies: by its age, if nothing else is said; old mail is read."""
        if folder is None:
            late = datetime.datetime(2025, 3, 25, tzinfo=datetime.UTC)
            folder = "Archive/2024" if when.year < 2025 else "Archive/2025" if when < late else "INBOX"
        if flags is None:
            flags = SEEN if folder.startswith("Archive") or self.chance.random() < 0.6 else 0
            flags |= FLAGGED if self.chance.random() < 0.07 else 0
        return Sample(folder, data, int(when.timestamp()), flags, keywords)
