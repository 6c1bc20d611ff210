"""What a search looks into: imaptest's searches, and texts under every wrapping."""

import pytest

from culverhouse.message import parts, text
from culverhouse.message.casemap import casemap
from culverhouse.message.headers import header_end
from culverhouse.message.lines import normalise


def body_has(message: bytes, wanted: str) -> bool:
    return any(casemap(wanted) in casemap(found) for found in text.texts(message, parts.parse(message)))


def header_has(message: bytes, field: str, wanted: str) -> bool:
    found = text.field_texts(message[: header_end(message)], field)
    return any(casemap(wanted) in casemap(value) for value in found)


def text_has(message: bytes, wanted: str) -> bool:
    return casemap(wanted) in casemap(text.header_text(message[: header_end(message)])) or body_has(message, wanted)


def search(message: bytes, words: list[str]) -> bool:
    key, *rest = words
    if key == "not":
        return not search(message, rest)
    if key == "header":
        return header_has(message, *rest)
    if key in ("subject", "from", "to", "cc", "bcc"):
        return header_has(message, key, *rest)
    return {"body": body_has, "text": text_has}[key](message, *rest)


@pytest.mark.parametrize(
    ("name", "compared"), [("search-header", 14), ("search-body", 12), ("search-addresses", 28), ("nil", 2)]
)
def test_imaptest(imaptest, name: str, compared: int) -> None:
    script = imaptest(name)
    seen = 0
    for step in script.steps:
        command, _, criteria = step.command.partition(" ")
        if command != "search" or not step.wanted:
            continue
        key, _, value = criteria.partition('"')
        words = key.split() + ([value.removesuffix('"')] if '"' in criteria else [])
        found = [str(number) for number, message in enumerate(script.messages, 1) if search(message, words)]
        assert found == step.wanted[0].split()[1:], step.command
        seen += 1
    assert seen >= compared


def bodies(message: bytes) -> list[str]:
    data = normalise(message)
    return list(text.texts(data, parts.parse(data)))


def test_transfer_encodings_and_charsets_are_undone() -> None:
    head = b"Content-Type: text/plain; charset=%b\nContent-Transfer-Encoding: %b\n\n"
    assert bodies(head % (b"utf-8", b"base64") + b"SsO2\ncmc=") == ["J\u00f6rg"]
    assert bodies(head % (b"iso-8859-1", b"quoted-printable") + b"J=F6=\nrg") == ["J\u00f6rg"]
    assert bodies(head % (b"koi8-r", b"8bit") + b"\xf0") == ["\u041f"]
    assert bodies(head % (b'"no such"', b"x-unknown") + b"kept") == ["kept"]
    assert bodies(b"Content-Type: text/html; charset*=us-ascii''koi8-r\n\n\xf0") == ["\u041f"]
    assert bodies(b"\nJ\xc3\xb6rg") == ["J\u00f6rg"]


def test_only_what_is_text() -> None:
    message = (
        b"Content-Type: multipart/mixed; boundary=x\n\npreamble\n"
        b"--x\n\none\n--x\nContent-Type: image/png\n\nimage\n--x\nContent-Type: text/calendar\n\ntwo\n"
        b"--x\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n"
        b"--x\nContent-Type: message/rfc822\n\nSubject: =?utf-8?q?th=72ee?=\nFrom: a@b\n\nfour\n--x--\nepilogue\n"
    )
    assert bodies(message) == ["one", "two", "Status: 5.1.1", "Subject: three\nFrom: a@b", "four"]


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Disposition: attachment; filename*=utf-8''Pr%C3%BCfung.pdf; filename=other",
        b"Content-Disposition: attachment; filename*0*=utf-8''Pr%C3%BC; filename*1=fung.pdf",
        b'Content-Disposition: attachment; filename="=?utf-8?q?Pr=C3=BCfung.pdf?="',
        b"Content-Type: application/pdf; name=Pr\xc3\xbcfung.pdf",
        b"Content-Type: application/pdf; name*=iso-8859-1'de'Pr%FCfung.pdf\nContent-Disposition: inline",
    ],
)
def test_names_of_attachments_are_found(field: bytes) -> None:
    message = b"Content-Type: multipart/mixed; boundary=x\n\n--x\n" + field + b"\nX: y\n\n%PDF\n--x--\n"
    found = bodies(message)
    if b"Content-Type: application" not in field:
        assert found.pop() == "%PDF"
    assert found == ["Pr\u00fcfung.pdf"]


def test_part_headers() -> None:
    data = normalise(
        b"Subject: s\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-ID: <one>\n\n1\n"
        b"--x\nContent-Type: message/rfc822\n\nSubject: inner\n\n2\n--x--\n"
    )
    root = parts.parse(data)
    assert list(text.part_headers(data, root)) == ["Content-ID: <one>", "Content-Type: message/rfc822"]
    assert list(text.part_headers(b"A: b\r\n\r\n", parts.parse(b"A: b\r\n\r\n"))) == []


def test_header_text_is_decoded_field_by_field() -> None:
    header = b"Subject: =?utf-8?q?J=C3=B6rg?=\r\n rest\r\nX-Raw: \xf6\r\nTo: \"a b\"@c (d)\r\n\r\n"
    assert text.header_text(header) == 'Subject: J\u00f6rg rest\nX-Raw: \u00f6\nTo: "a b"@c (d)\nTo: d <a b@c>'


def test_field_texts_gives_each_field_and_addresses_in_their_plain_form_too() -> None:
    header = b"X: one\r\nFrom: =?utf-8?q?J=C3=B6rg?= <a (c) @ b>\r\nx: two\r\nCc: g: (x) a@b;\r\nTo: a@b\r\n\r\n"
    assert text.field_texts(header, "X") == ["one", "two"]
    assert text.field_texts(header, "from") == ["J\u00f6rg <a (c) @ b>", "J\u00f6rg <a@b>"]
    assert text.field_texts(header, "cc") == ["g: (x) a@b;", "g:, x <a@b>"]
    assert text.field_texts(header, "to") == ["a@b"]
    assert text.field_texts(header, "bcc") == []
