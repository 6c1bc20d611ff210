"""BODY[section]: imaptest's answers, and what is not there."""

import re

import pytest

from culverhouse.message import parts, section
from culverhouse.message.lines import normalise
from culverhouse.message.section import Section, extract
from culverhouse.model.errors import Kind, MailError

PATTERN = re.compile(r"(?P<path>[0-9.]*?)\.?(?P<kind>[A-Z][A-Z.]*)?(?: \((?P<fields>[^)]*)\))?", re.I)
ITEM = re.compile(
    r"(?P<name>body|binary|binary\.size)(?:\.peek)?\[(?P<section>[^\]]*)\](?:<(?P<start>\d+)(?:\.(?P<length>\d+))?>)?"
)
VALUE = re.compile(r' (?:(?P<tilde>~?)\{\{\{\n(?P<text>.*?)\n\}\}\}|"(?P<quoted>[^"]*)"|(?P<number>\d+))', re.S)


def named(text: str) -> Section:
    found = PATTERN.fullmatch(text)
    assert found, text
    return Section(
        tuple(int(number) for number in found["path"].split(".") if number),
        (found["kind"] or "").upper(),
        tuple(field.lower().encode() for field in (found["fields"] or "").split()),
    )


def value_of(found: re.Match[str]) -> bytes:
    if found["number"]:
        return found["number"].encode()
    if found["quoted"] is not None:
        return found["quoted"].encode()
    text = found["text"].encode("latin-1")
    return text if found["tilde"] else normalise(text)


def answers(line: str) -> dict[tuple[str, str, str | None], bytes]:
    """(item, section, start) to value, of an untagged FETCH."""
    found: dict[tuple[str, str, str | None], bytes] = {}
    position = 0
    while item := ITEM.search(line, position):
        value = VALUE.match(line, item.end())
        assert value, line[item.start() :]
        found[item["name"], item["section"], item["start"]] = value_of(value)
        position = value.end()
    return found


def fetched(message: bytes, command: str) -> dict[tuple[str, str, str | None], bytes]:
    """What our functions give for the items of a FETCH command."""
    root = parts.parse(message)
    found: dict[tuple[str, str, str | None], bytes] = {}
    for item in ITEM.finditer(command):
        wanted = named(item["section"])
        body = item["name"] == "body"
        value = extract(message, root, wanted) if body else section.binary(message, root, wanted.path)
        assert value is not None, command
        if item["name"] == "binary.size":
            value = str(len(value)).encode()
        if item["start"] is not None:
            start = int(item["start"])
            value = value[start : start + int(item["length"])]
        found[item["name"], item["section"], item["start"]] = value
    return found


@pytest.mark.parametrize(
    ("name", "compared"),
    [
        ("fetch-body", 14),
        ("fetch-body-message-rfc822", 8),
        ("fetch-body-message-rfc822-x2", 9),
        ("fetch-body-message-rfc822-mime", 13),
        ("fetch-body-mime", 14),
        ("fetch-binary-mime", 10),
        ("fetch-binary-mime-base64", 19),
        ("fetch-binary-mime-qp", 7),
    ],
)
def test_imaptest(imaptest, name: str, compared: int) -> None:
    script = imaptest(name)
    seen = 0
    for step in script.steps:
        if step.command.startswith("fetch") and ITEM.search(step.command) and "$" not in "".join(step.wanted):
            message = script.messages[int(step.command.split()[1]) - 1]
            got = fetched(message, step.command)
            for line in step.wanted:
                wanted = answers(line)
                if wanted:
                    assert got == wanted, step.command
                    seen += len(wanted)
            for line in step.forbidden:
                assert got != answers(line), step.command
    assert seen >= compared


MESSAGE = normalise(
    b"Subject: outer\nContent-Type: multipart/mixed; boundary=x\n\n"
    b"--x\nA: b\n\none\n"
    b"--x\nContent-Type: message/rfc822\n\nSubject: inner\n\ntwo\n"
    b"--x\nContent-Type: multipart/mixed; boundary=y\n\n--y\n\nthree\n--y--\nepilogue\n--x--\n"
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("HEADER", b"Subject: outer\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"),
        ("HEADER.FIELDS (subject)", b"Subject: outer\r\n\r\n"),
        ("HEADER.FIELDS (nothing)", b"\r\n"),
        ("HEADER.FIELDS.NOT (subject)", b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"),
        ("1", b"one"),
        ("1.MIME", b"A: b\r\n\r\n"),
        ("2", b"Subject: inner\r\n\r\ntwo"),
        ("2.HEADER", b"Subject: inner\r\n\r\n"),
        ("2.TEXT", b"two"),
        ("2.1", b"two"),
        ("2.1.MIME", b"Subject: inner\r\n\r\n"),
        ("2.MIME", b"Content-Type: message/rfc822\r\n\r\n"),
        ("3", b"--y\r\n\r\nthree\r\n--y--\r\nepilogue"),
        ("3.1", b"three"),
        ("3.1.MIME", b"\r\n"),
        # not there
        ("0", None),
        ("4", None),
        ("1.1", None),
        ("1.HEADER", None),
        ("1.TEXT", None),
        ("3.TEXT", None),
        ("3.2", None),
        ("2.2", None),
        ("2.1.1", None),
        ("2.1.HEADER", None),
        ("MIME", None),
    ],
)
def test_sections(text: str, wanted: bytes | None) -> None:
    assert extract(MESSAGE, parts.parse(MESSAGE), named(text)) == wanted


def test_part_one_of_a_plain_message_is_its_body() -> None:
    data = b"Subject: s\r\n\r\nbody\r\n"
    root = parts.parse(data)
    assert extract(data, root, named("1")) == b"body\r\n"
    assert extract(data, root, named("TEXT")) == b"body\r\n"
    assert extract(data, root, named("")) == data
    assert extract(data, root, named("1.MIME")) == b"Subject: s\r\n\r\n"
    assert extract(data, root, named("2")) is None
    assert extract(data, root, named("1.1")) is None
    assert extract(data, root, named("1.HEADER")) is None


def test_a_message_that_is_all_header() -> None:
    data = b"Subject: s\r\nTo: a@b\r\n"
    root = parts.parse(data)
    # RFC 3501 6.4.5: the blank line is there unless the message has neither body nor blank line.
    assert extract(data, root, named("HEADER")) == data
    assert extract(data, root, named("HEADER.FIELDS (to)")) == b"To: a@b\r\n\r\n"
    assert extract(data, root, named("TEXT")) == b""
    assert extract(data, root, named("1")) == b""


def encoded(encoding: bytes, body: bytes) -> bytes | None:
    data = b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body
    return section.binary(data, parts.parse(data), (1,))


def test_binary_decodes_leaves() -> None:
    assert encoded(b"BASE64", b"aGVs\r\nbG8=\r\n") == b"hello"
    assert encoded(b"quoted-printable", b"a=3Db=\r\nc") == b"a=bc"
    assert encoded(b"8bit", b"\xff\0") == b"\xff\0"
    assert encoded(b"binary", b"\0") == b"\0"
    root = parts.parse(MESSAGE)
    assert section.binary(MESSAGE, root, (2,)) == b"Subject: inner\r\n\r\ntwo"
    assert section.binary(MESSAGE, root, (3,)) == b"--y\r\n\r\nthree\r\n--y--\r\nepilogue"
    assert section.binary(MESSAGE, root, ()) == MESSAGE
    assert section.binary(MESSAGE, root, (9,)) is None


def test_truncated_base64_gives_what_can_be_decoded() -> None:
    for body, wanted in ((b"aGVsb", b"hel"), (b"aGVsbG", b"hell"), (b"aGVsbG8", b"hello"), (b"a", b""), (b"", b"")):
        assert encoded(b"base64", body) == wanted


def test_an_unknown_encoding_is_the_one_failure() -> None:
    with pytest.raises(MailError) as failure:
        encoded(b"x-rot13", b"uryyb")
    assert failure.value.kind is Kind.UNKNOWN_CTE
