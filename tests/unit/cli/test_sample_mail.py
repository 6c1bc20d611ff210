"""The sample mailbox: the same every time, and with everything in it that mail has."""

import email
import email.policy
import io
import struct
import zipfile
import zlib
from collections import Counter

import pytest

from culverhouse.cli import sample_files as files
from culverhouse.cli.sample_desk import Sample
from culverhouse.cli.sample_mail import FOLDERS, samples
from culverhouse.cli.sample_texts import LETTERS
from culverhouse.message import facts as message_facts
from culverhouse.message.lines import normalise
from culverhouse.model.facts import Fact
from culverhouse.model.flags import ANSWERED, DRAFT, FLAGGED, SEEN


@pytest.fixture(scope="module", name="mail")
def mail_fixture() -> list[Sample]:
    return list(samples("alice"))


def test_it_is_the_same_every_time(mail: list[Sample]) -> None:
    assert mail == list(samples("alice"))
    assert 250 <= len(mail) <= 350
    assert 15 <= len(list(samples("bob"))) <= 60


def test_folders_dates_and_flags_vary(mail: list[Sample]) -> None:
    folders = Counter(sample.folder for sample in mail)
    assert set(folders) == {"INBOX", "Sent", "Drafts", "Junk", "Trash", *FOLDERS}
    assert folders["INBOX"] > 50
    assert max(sample.date for sample in mail) - min(sample.date for sample in mail) > 200 * 86_400
    flags = Counter(sample.flags for sample in mail)
    assert {0, SEEN, SEEN | ANSWERED, SEEN | FLAGGED, SEEN | DRAFT} <= set(flags)
    assert {word for sample in mail for word in sample.keywords} >= {"$label1", "$Forwarded", "$HasAttachment", "$Junk"}


def test_every_kind_of_part_is_there(mail: list[Sample]) -> None:
    kinds, encodings, charsets = Counter(), Counter(), Counter()
    for sample in mail:
        for part in email.message_from_bytes(sample.data).walk():
            kinds[part.get_content_type()] += 1
            encodings[str(part.get("Content-Transfer-Encoding")).lower()] += 1
            charsets[str(part.get_content_charset())] += 1
    for kind in (
        "text/plain",
        "text/html",
        "text/calendar",
        "text/csv",
        "image/png",
        "application/pdf",
        "application/zip",
        "message/rfc822",
        "message/delivery-status",
        "multipart/alternative",
        "multipart/related",
        "multipart/mixed",
        "multipart/digest",
        "multipart/report",
        "multipart/signed",
        "audio/wav",
        "text/vcard",
    ):
        assert kinds[kind], kind
    assert {"base64", "quoted-printable", "8bit", "7bit"} <= set(encodings)
    assert {charset for charset, *_ in LETTERS} <= set(charsets)


def test_what_is_not_meant_to_be_broken_is_whole(mail: list[Sample]) -> None:
    for sample in mail:
        if sample.folder == "Oddities":
            continue
        message = email.message_from_bytes(sample.data, policy=email.policy.compat32)
        assert b"\r" not in sample.data
        assert message["From"], sample.data[:200]
        assert message["Subject"]
        assert message["Message-ID"]
        assert [part.defects for part in message.walk() if part.defects] == []
        assert all(octet < 128 for octet in sample.data.partition(b"\n\n")[0])


def test_letters_come_out_as_they_were_written(mail: list[Sample]) -> None:
    for number, (charset, _, name, subject, text) in enumerate(LETTERS):
        sample = next(sample for sample in mail if b"<writer%d@" % number in sample.data)
        message = email.message_from_bytes(sample.data, policy=email.policy.default)
        assert str(message["Subject"]) == subject
        assert name in str(message["From"])
        payload = message.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode(charset) == text


def test_threads_hang_together(mail: list[Sample]) -> None:
    known = {str(email.message_from_bytes(sample.data)["Message-ID"]) for sample in mail}
    replies = [email.message_from_bytes(sample.data)["In-Reply-To"] for sample in mail]
    replies = [reply for reply in replies if reply]
    assert len(replies) > 100
    assert set(map(str, replies)) <= known


def test_our_own_parser_gets_through_all_of_it(mail: list[Sample]) -> None:
    wanted = frozenset({Fact.ENVELOPE, Fact.BODYSTRUCTURE})
    for sample in mail:
        found = message_facts.facts(normalise(sample.data), wanted, frozenset())
        assert found[Fact.ENVELOPE].startswith(b"(")
        assert found[Fact.BODYSTRUCTURE].startswith(b"(")


def test_pictures_are_pictures() -> None:
    for data in (files.landscape(3, 40, 30), files.chart([1, 2, 3], 30, 20), files.grain(1, 20, 10)):
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        at, seen = 8, []
        while at < len(data):
            size, kind = struct.unpack_from(">I4s", data, at)
            (crc,) = struct.unpack_from(">I", data, at + 8 + size)
            assert crc == zlib.crc32(data[at + 4 : at + 8 + size])
            seen.append(kind)
            at += 12 + size
        assert seen == [b"IHDR", b"IDAT", b"IEND"]


def test_documents_are_documents() -> None:
    data = files.pdf("Title (with) \\ marks", ["word " * 300])
    table = int(data.rsplit(b"startxref\n", 1)[1].split()[0])
    assert data[table:].startswith(b"xref\n0 6\n")
    for number in range(1, 6):
        entry = data[table:].split(b"\n")[2 + number]
        assert data[int(entry[:10]) :].startswith(b"%d 0 obj" % number)
    with zipfile.ZipFile(io.BytesIO(files.archive({"a": b"x" * 1000}))) as packed:
        assert packed.testzip() is None
        assert packed.read("a") == b"x" * 1000
    assert len(files.wave(0.5, 440)) == 44 + 4000
