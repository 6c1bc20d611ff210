"""The sample mailbox of `culverhouse demo`: some 300 messages as a person's mail really is, the same ones every time.

Threads with quotes, letters in many charsets and transfer encodings, HTML with a text alternative and inline
pictures, mailing lists, attachments of many kinds, invitations, forwarded and signed mail, reports, and mail that is
broken in the ways that mail is broken. Everything follows from the user's name; no clock, no real randomness. The
messages end their lines with LF, as a Unix mail system delivers them.
"""

import datetime
from collections.abc import Iterator

from ..model.flags import ANSWERED, SEEN
from . import sample_files as files
from .sample_desk import Desk, Sample
from .sample_odd import oddities
from .sample_parts import Body, attached, mailbox, multipart, text, word
from .sample_special import drafts_junk_and_trash, enclosures, invitations, wrapped
from .sample_texts import ALICE, BOB, LETTERS, LIST_TOPICS, NEWSLETTER, PEOPLE, TOPICS, Person

FOLDERS = ("Archive/2024", "Archive/2025", "Lists/culverhouse-users", "Lists/pigeons", "Oddities", "Reisen & Ausflüge")
"""Made besides the default mailboxes; the last one to show what a name may hold."""


def thread(desk: Desk, topic: tuple[str, str, str, str], length: int) -> Iterator[Sample]:
    """A conversation; what the owner writes lies in Sent, what was answered is flagged so."""
    subject, problem, thing, when_needed = topic
    people = [desk.owner, *desk.chance.sample(PEOPLE, 2), desk.other]
    references: list[str] = []
    quote = ""
    previous: Person | None = None
    mails = []
    for number in range(length):
        sender = desk.chance.choice([person for person in people if person is not previous])
        others = [person for person in people if person is not sender]
        when = desk.later(desk.chance.choice((0.5, 2, 5, 20)))
        ident = desk.message_id(sender.address.partition("@")[2])
        opening = f"it is about {thing}: {problem}. We need it {when_needed}." if number == 0 else desk.prose(1)
        content = f"Hello {others[0].first},\n\n{opening}\n\n{desk.prose(desk.chance.randint(1, 4))}\n\n"
        content += (
            f"{sender.first}\n" if desk.chance.random() < 0.5 else f"Best wishes\n{sender.name}\n\n-- \n{sender.name}\n"
        )
        if quote:
            content += f"\n{quote}"
        fields = [
            ("From", mailbox(sender)),
            ("To", ",\n ".join(mailbox(person) for person in others[:2])),
            ("Cc", mailbox(others[2])),
            ("Subject", f"{'Re: ' if number else ''}{subject}"),
        ]
        if references:
            fields += [("In-Reply-To", references[-1]), ("References", "\n ".join(references))]
        body: Body = text(content, encoding=desk.chance.choice(("quoted-printable", "8bit", "base64")))
        if desk.chance.random() < 0.25:
            page = "".join(f"<p>{line}</p>" for line in content.splitlines() if line)
            body = multipart(
                "alternative", desk.boundary(), body, text(f"<html><body>{page}</body></html>", kind="html")
            )
        mails.append((sender, when, desk.letter(fields, body, when, ident)))
        references.append(ident)
        lines = [line for line in content.splitlines() if len(line) < 70][:12]
        quote = f"On {when:%d %B %Y}, {sender.name} wrote:\n" + "".join(f"> {line}\n" for line in lines)
        previous = sender
    for number, (sender, when, data) in enumerate(mails):
        if sender is desk.owner:
            yield desk.place(data, when, "Sent", SEEN)
        elif number + 1 < len(mails) and mails[number + 1][0] is desk.owner:
            yield desk.place(data, when, None, SEEN | ANSWERED)
        else:
            yield desk.place(data, when)


def foreign_letters(desk: Desk) -> Iterator[Sample]:
    """Every charset and transfer encoding in LETTERS."""
    for number, (charset, encoding, name, subject, content) in enumerate(LETTERS):
        when = desk.later(60)
        header_charset = "utf-8" if charset in ("utf-16", "utf-7", "tis-620", "windows-1256") else charset
        sender = f"{word(name, header_charset)} <writer{number}@example.net>"
        fields = [("From", sender), ("To", mailbox(desk.owner)), ("Subject", word(subject, header_charset))]
        body = text(content, charset, encoding, more="; format=flowed" if number % 5 == 0 else "")
        keywords = ("$label1",) if number % 6 == 0 else ()
        yield desk.place(desk.letter(fields, body, when), when, None, None, keywords)


def newsletters(desk: Desk, count: int) -> Iterator[Sample]:
    """HTML beside its text, with a picture inside it or linked to."""
    for number in range(1, count + 1):
        when = desk.later(300)
        title = f"The Loft Letter, number {number}"
        content_id = f"picture{number}@loft.example.org"
        inside = number % 3 != 0
        page = NEWSLETTER.format(
            title=title,
            first=desk.prose(3),
            second=desk.prose(4),
            number=number,
            picture=f'<p><img src="cid:{content_id}" alt="The hills"></p>' if inside else "",
        )
        html = text(page, encoding="base64" if number % 2 else "quoted-printable", kind="html")
        if inside:
            picture = attached("image/png", files.landscape(number), f"hills-{number}.png", inline=content_id)
            html = multipart("related", desk.boundary(), html, picture, more='; type="text/html"')
        body = multipart("alternative", desk.boundary(), text(f"{title}\n\n{desk.prose(3)}\n\n{desk.prose(4)}\n"), html)
        fields = [
            ("From", "The Loft Letter <letter@loft.example.org>"),
            ("To", mailbox(desk.owner)),
            ("Subject", title),
            ("List-Unsubscribe", f"<https://example.org/unsubscribe?{number}>,\n <mailto:leave@loft.example.org>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("Precedence", "bulk"),
        ]
        yield desk.place(desk.letter(fields, body, when), when)


def mailing_list(desk: Desk, name: str, topics: tuple[str, ...], length: int) -> Iterator[Sample]:
    """Threads on a list, with its header fields (RFC 2369, RFC 2919) and its footer."""
    address = f"{name}@lists.example.org"
    for topic in topics:
        references: list[str] = []
        for number in range(desk.chance.randint(length // 2, length)):
            sender = desk.chance.choice(PEOPLE)
            when = desk.later(desk.chance.choice((1, 3, 9, 30)))
            ident = desk.message_id("lists.example.org")
            content = f"{desk.prose(2)} \n{desk.prose(3)}\n\n"
            if topic.startswith("[ANN]"):
                content += (
                    "--- a/loft.py\n+++ b/loft.py\n@@ -1,3 +1,3 @@\n def birds():\n-    return 41\n+    return 42\n\n"
                )
            content += f"{sender.first}\n_______________________________________________\n{name} mailing list\n"
            fields = [
                ("From", mailbox(sender)),
                ("To", address),
                ("Subject", f"{'Re: ' if number else ''}[{name}] {topic}"),
                ("Sender", f"{name}-bounces@lists.example.org"),
                ("Reply-To", address),
                ("List-Id", f"<{name}.lists.example.org>"),
                ("List-Post", f"<mailto:{address}>"),
                ("List-Archive", f"<https://lists.example.org/{name}/>"),
                ("X-Mailman-Version", "3.3.10"),
            ]
            if references:
                fields += [("In-Reply-To", references[-1]), ("References", "\n ".join(references[-10:]))]
            body = text(content, "us-ascii", "7bit", more="; format=flowed; delsp=no")
            references.append(ident)
            yield desk.place(desk.letter(fields, body, when, ident), when, f"Lists/{name}")


def odd(desk: Desk) -> Iterator[Sample]:
    """Broken mail."""
    for data in oddities(desk.owner.address):
        when = desk.later(9)
        yield desk.place(data, when, "Oddities")


def samples(user: str) -> Iterator[Sample]:
    """All of a user's messages: about 300 for `alice`, a few dozen for anybody else."""
    if user == "alice":
        desk = Desk(ALICE)
        for topic in TOPICS:
            yield from thread(desk, topic, desk.chance.randint(4, 8))
        yield from newsletters(desk, 9)
        yield from mailing_list(desk, "culverhouse-users", LIST_TOPICS, 8)
        yield from foreign_letters(desk)
        yield from mailing_list(desk, "pigeons", ("Moulting", "Best hour for a release"), 6)
        yield from enclosures(desk)
        yield from wrapped(desk)
        yield from odd(desk)
        yield from drafts_junk_and_trash(desk)
        yield from invitations(desk)
        for topic in TOPICS:
            yield from thread(desk, (f"{topic[0]} (2)", *topic[1:]), desk.chance.randint(2, 7))
    else:
        desk = Desk(BOB)
        desk.now += datetime.timedelta(days=350)
        for topic in TOPICS[:4]:
            yield from thread(desk, topic, 6)
        yield from newsletters(desk, 2)
        yield from invitations(desk)
