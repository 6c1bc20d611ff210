"""Sample mail that is more than a letter: attachments, invitations, mail inside mail, drafts, junk."""

import base64
import datetime
from collections.abc import Iterator

from ..model.flags import DELETED, DRAFT, FLAGGED, SEEN
from . import sample_files as files
from .sample_desk import Desk, Sample
from .sample_parts import Body, attached, mailbox, multipart, text, word
from .sample_texts import PEOPLE


def enclosures(desk: Desk) -> Iterator[Sample]:
    """Mail with attachments of many kinds."""
    offer = files.pdf("Offer for the roof", [desk.prose(5), desk.prose(6), "Total: 1 240 EUR"])
    parcels: tuple[tuple[str, tuple[tuple[str, bytes, str], ...]], ...] = (
        ("Offer for the roof", (("application/pdf", offer, "offer.pdf"),)),
        ("Photos of the loft", tuple(("image/png", files.landscape(n), f"loft-{n}.png") for n in range(20, 25))),
        (
            "Visitors so far",
            (
                ("text/csv; charset=utf-8", files.table(120, 3), "visitors.csv"),
                ("image/png", files.chart([12, 30, 22, 41, 36, 50, 18]), "visitors.png"),
            ),
        ),
        (
            "All the papers",
            (
                (
                    "application/zip",
                    files.archive(
                        {
                            "offer.pdf": offer,
                            "visitors.csv": files.table(60, 5),
                            "read me.txt": b"Everything we have.\n",
                        }
                    ),
                    "papers.zip",
                ),
            ),
        ),
        ("The big picture", (("image/png", files.grain(1), "panorama.png"),)),
        ("Pläne für die Volière", (("application/pdf", offer, "Pläne für die Volière – Süd.pdf"),)),
        ("写真をお送りします", (("image/png", files.landscape(7), "鳩舎の写真.png"),)),
        ("Voice message", (("audio/wav", files.wave(1.5, 440), "message.wav"),)),
        (
            "My card",
            (
                (
                    "text/vcard; charset=utf-8",
                    b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Grace O'Neill\r\n"
                    b"EMAIL:grace.oneill@example.net\r\nEND:VCARD\r\n",
                    "grace.vcf",
                ),
            ),
        ),
        ("Patch", (("text/x-patch; charset=us-ascii", b"--- a\n+++ b\n@@ -1 +1 @@\n-41\n+42\n", "birds.patch"),)),
        ("Nothing in it", (("application/octet-stream", b"", "empty.bin"),)),
    )
    for subject, parts in parcels:
        sender = desk.chance.choice(PEOPLE)
        when = desk.later(70)
        body = multipart(
            "mixed",
            desk.boundary(),
            text(f"Hello {desk.owner.first},\n\nsee what I attach.\n\n{desk.prose(2)}\n"),
            *(attached(kind, data, name) for kind, data, name in parts),
        )
        fields = [("From", mailbox(sender)), ("To", mailbox(desk.owner)), ("Subject", word(subject))]
        folder = "Reisen & Ausflüge" if "loft" in subject or "写真" in subject else None
        yield desk.place(desk.letter(fields, body, when), when, folder, None, ("$HasAttachment",))


def invitations(desk: Desk) -> Iterator[Sample]:
    """Meeting requests, in the alternative and attached (RFC 6047)."""
    for number, (title, place) in enumerate(
        (("Tea and plans", "Garden room"), ("Loft inspection", "North side"), ("Open day: last check", "Gate"))
    ):
        when = desk.later(150)
        start = when.astimezone(datetime.UTC) + datetime.timedelta(days=7)
        sender = PEOPLE[number]
        event = files.invitation(
            f"event-{number}@example.org",
            title,
            place,
            f"{start:%Y%m%dT%H0000Z}",
            f"{start + datetime.timedelta(hours=1):%Y%m%dT%H0000Z}",
            sender.address,
            desk.owner.address,
        )
        calendar = Body(
            ("Content-Type: text/calendar; charset=utf-8; method=REQUEST", "Content-Transfer-Encoding: base64"),
            base64.encodebytes(event),
        )
        inner = multipart("alternative", desk.boundary(), text(f"{title}, {place}\n"), calendar)
        body = multipart("mixed", desk.boundary(), inner, attached("application/ics", event, "invite.ics"))
        fields = [("From", mailbox(sender)), ("To", mailbox(desk.owner)), ("Subject", f"Invitation: {title}")]
        yield desk.place(desk.letter(fields, body, when), when)


def wrapped(desk: Desk) -> Iterator[Sample]:
    """Mail inside mail: forwarded, digested, reported, signed."""
    sender = PEOPLE[1]
    to = [("From", mailbox(sender)), ("To", mailbox(desk.owner))]
    inner = desk.letter(
        [("From", mailbox(PEOPLE[4])), ("To", mailbox(sender)), ("Subject", word("Fwd: Prüfung der Balken"))],
        multipart(
            "mixed",
            desk.boundary(),
            text("Die Balken sind geprüft.\n", "iso-8859-1"),
            attached("image/png", files.landscape(2, 160, 100), "balken.png"),
        ),
        desk.later(3),
    )
    message = Body(("Content-Type: message/rfc822", "Content-Disposition: inline"), inner)
    when = desk.later(30)
    yield desk.place(
        desk.letter(
            [*to, ("Subject", "Fwd: the beams")],
            multipart("mixed", desk.boundary(), text("For your files.\n"), message),
            when,
        ),
        when,
        None,
        None,
        ("$Forwarded",),
    )
    outer = Body(
        ("Content-Type: message/rfc822",),
        desk.letter([*to, ("Subject", "Fwd: Fwd: the beams")], message, desk.later(2)),
    )
    when = desk.later(30)
    yield desk.place(
        desk.letter(
            [*to, ("Subject", "Forwarded twice")],
            multipart("mixed", desk.boundary(), text("Again.\n"), outer),
            when,
        ),
        when,
    )
    digest = [
        Body(
            (),
            desk.letter(
                [
                    ("From", mailbox(person)),
                    ("To", "pigeons@lists.example.org"),
                    ("Subject", f"Birds seen by {person.first}"),
                ],
                text(desk.prose(2) + "\n"),
                desk.later(1),
            ),
        )
        for person in map(lambda n: PEOPLE[n], (0, 4, 5, 7))
    ]
    when = desk.later(10)
    yield desk.place(
        desk.letter(
            [
                ("From", "pigeons-request@lists.example.org"),
                ("To", "pigeons@lists.example.org"),
                ("Subject", "pigeons Digest, Vol 12, Issue 3"),
                ("List-Id", "<pigeons.lists.example.org>"),
            ],
            multipart("digest", desk.boundary(), *digest),
            when,
        ),
        when,
        "Lists/pigeons",
    )
    report = Body(
        ("Content-Type: message/delivery-status",),
        b"Reporting-MTA: dns; mx1.example.org\n\nFinal-Recipient: rfc822; nobody@example.com\n"
        b"Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 No such user\n",
    )
    returned = Body(
        ("Content-Type: text/rfc822-headers",),
        f"From: {desk.owner.address}\nTo: nobody@example.com\nSubject: Are you there?\n".encode(),
    )
    when = desk.later(40)
    yield desk.place(
        desk.letter(
            [
                ("From", "Mail Delivery System <MAILER-DAEMON@mx1.example.org>"),
                ("To", desk.owner.address),
                ("Subject", "Undelivered Mail Returned to Sender"),
                ("Auto-Submitted", "auto-replied"),
            ],
            multipart(
                "report",
                desk.boundary(),
                text("I'm sorry to have to inform you.\n", "us-ascii", "7bit"),
                report,
                returned,
                more="; report-type=delivery-status",
            ),
            when,
        ),
        when,
    )
    receipt = Body(
        ("Content-Type: message/disposition-notification",),
        f"Final-Recipient: rfc822; {sender.address}\n".encode()
        + b"Disposition: manual-action/MDN-sent-manually; displayed\n",
    )
    when = desk.later(40)
    yield desk.place(
        desk.letter(
            [*to, ("Subject", "Read: Feed order")],
            multipart(
                "report",
                desk.boundary(),
                text("Your message was displayed.\n"),
                receipt,
                more="; report-type=disposition-notification",
            ),
            when,
        ),
        when,
    )
    signature = Body(
        ('Content-Type: application/pgp-signature; name="signature.asc"',),
        b"-----BEGIN PGP SIGNATURE-----\n\n"
        + base64.encodebytes(desk.chance.randbytes(96))
        + b"-----END PGP SIGNATURE-----\n",
    )
    when = desk.later(40)
    yield desk.place(
        desk.letter(
            [*to, ("Subject", "Signed: key to the shed")],
            multipart(
                "signed",
                desk.boundary(),
                text("It is under the pot.\n", "us-ascii", "7bit"),
                signature,
                more='; micalg=pgp-sha512;\n protocol="application/pgp-signature"',
            ),
            when,
        ),
        when,
        None,
        SEEN | FLAGGED,
    )


def drafts_junk_and_trash(desk: Desk) -> Iterator[Sample]:
    """What nobody answers."""
    for number, subject in enumerate(("Re: Insurance", "(no subject)", "Programme for the open day")):
        when = desk.later(5)
        fields = [
            ("From", mailbox(desk.owner)),
            *([("To", mailbox(PEOPLE[number]))] if number else []),
            ("Subject", subject),
        ]
        yield desk.place(
            desk.letter(fields, text(desk.prose(2) + "\n\nto be finished …\n"), when), when, "Drafts", SEEN | DRAFT
        )
    for number in range(8):
        when = desk.later(20)
        offer = f"<html><body><h1>{100 + number * 50} % off!!!</h1><p>Click <a href='http://example.com/{number}'>here</a>.</body></html>"
        fields = [
            ("From", f'"Best Prices" <win{number}@example.com>'),
            ("To", "undisclosed-recipients:;"),
            ("Subject", word(f"★ You have won, {desk.owner.first}! ★ №{number}")),
            ("X-Spam-Flag", "YES"),
        ]
        yield desk.place(
            desk.letter(fields, text(offer, kind="html", encoding="base64"), when),
            when,
            "Junk",
            0 if number % 2 else SEEN,
            ("$Junk",),
        )
    for number in range(5):
        when = desk.later(20)
        fields = [
            ("From", mailbox(PEOPLE[number])),
            ("To", mailbox(desk.owner)),
            ("Subject", f"Lunch on the {number + 3}rd?"),
        ]
        yield desk.place(
            desk.letter(fields, text(desk.prose(1) + "\n"), when),
            when,
            "Trash",
            SEEN | (DELETED if number == 4 else 0),
        )
