"""Facts about messages by random input: nothing raises, what is shown is well formed, and the pieces add up."""

import base64
import datetime
import re

from hypothesis import given
from hypothesis import strategies as st

from culverhouse.message import charset, encoded_words, headers, parts, section, text, transfer
from culverhouse.message.bodystructure import body, bodystructure
from culverhouse.message.casemap import casemap
from culverhouse.message.dates import date_of, internaldate, parse_date_time, sent_date
from culverhouse.message.envelope import envelope
from culverhouse.message.facts import facts
from culverhouse.message.lines import CrlfCounter, CrlfStream, normalise
from culverhouse.message.section import Section
from culverhouse.model.facts import Fact

WORDS = (
    b"Content-Type: ", b"multipart/mixed", b"multipart/digest", b"message/rfc822", b"text/plain", b"; boundary=",
    b"; charset=", b"boundary=x", b'"', b"x", b"--x", b"--x--", b"\n", b"\r\n", b"\n\n", b"\r", b" ", b"\t", b"a@b",
    b"<", b">", b"(", b")", b",", b";", b":", b"@", b"\\", b"[", b"]", b"To: ", b"From: ", b"Subject: ", b"Date: ",
    b"=?utf-8?q?", b"?=", b"=C3=B6", b"name*0*=", b"name*1=", b"'", b"%", b"Content-Transfer-Encoding: ", b"base64",
    b"quoted-printable", b"QUJD", b"=", b"\x00", b"\xff", b"\xc3\xb6", b"Content-Disposition: ",
    b"Content-Language: ", b"1 Jan 2000", b"binary",
)  # fmt: skip
broken_mail = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from(WORDS), max_size=60).map(b"".join),
    st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=3)), max_size=40).map(b"".join),
)
LINES = (b"\n--x\n", b"\n--x--\n", b"\n\n")
multiparts = st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(LINES)), max_size=60).map(
    lambda words: b"Content-Type: multipart/mixed; boundary=x\n\n--x\n" + b"".join(words)
)
messages = st.one_of(broken_mail, multiparts)

TOKEN = re.compile(rb'\(|\)| |NIL|\d+|"(?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*"|\{(\d+)\}\r\n')


def shape(wire: bytes) -> list[object]:
    """The nested lists of an answer; an assertion when it is not well formed."""
    stack: list[list[object]] = [[]]
    position = 0
    while position < len(wire):
        token = TOKEN.match(wire, position)
        assert token, (wire, position)
        position = token.end()
        word = token[0]
        if word == b"(":
            stack.append([])
        elif word == b")":
            done = stack.pop()
            stack[-1].append(done)
        elif token[1]:
            literal = wire[position : position + int(token[1])]
            assert len(literal) == int(token[1])
            assert b"\0" not in literal
            stack[-1].append(literal)
            position += len(literal)
        elif word != b" ":
            stack[-1].append(word)
    assert len(stack) == 1
    return stack[0]


@given(messages)
def test_envelope_is_always_ten_fields(message: bytes) -> None:
    data = normalise(message)
    (fields,) = shape(envelope(data[: headers.header_end(data)]))
    assert isinstance(fields, list)
    assert len(fields) == 10
    for addresses in fields[2:8]:
        assert addresses == b"NIL" or addresses
        if isinstance(addresses, list):
            assert all(isinstance(address, list) and len(address) == 4 for address in addresses)


@given(messages)
def test_structures_are_well_formed_and_say_what_the_parts_are(message: bytes) -> None:
    data = normalise(message)
    root = parts.parse(data)
    short = shape(body(root, data))
    long = shape(bodystructure(root, data))
    assert len(short) == len(long) == 1

    def check(shown: object, part: parts.Part, extended: bool) -> None:
        assert isinstance(shown, list)
        if part.is_multipart:
            children = [item for item in shown if isinstance(item, list) and isinstance(item[0], bytes | list)]
            for child, item in zip(part.children, children, strict=False):
                check(item, child, extended)
            return
        assert int(shown[6]) == part.body_end - part.body_start
        if part.message is not None:
            check(shown[8], part.message, extended)
            assert len(shown) == (14 if extended else 10)
        else:
            assert len(shown) == 7 + (part.content_type[0] == b"text") + 4 * extended

    check(short[0], root, False)
    check(long[0], root, True)


@given(messages)
def test_parts_lie_inside_their_parents_and_in_order(message: bytes) -> None:
    data = normalise(message)
    root = parts.parse(data)
    assert (root.header_start, root.body_end) == (0, len(data))
    seen = 0
    for part in root.walk():
        seen += 1
        assert part.header_start <= part.body_start <= part.body_end
        below = [part.message] if part.message else part.children
        position = part.body_start
        for child in below:
            assert position <= child.header_start
            assert child.body_end <= max(part.body_end, child.body_start)
            position = child.body_end
        if part.message is not None or part.content_type[0] == b"text":
            assert part.lines == data.count(b"\n", part.body_start, part.body_end)
        if part.message is not None:
            assert (part.message.header_start, part.message.body_end) == (part.body_start, part.body_end)
    assert seen <= parts.MAX_PARTS


KINDS = ("", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME")


@given(messages, st.lists(st.integers(0, 4), max_size=4), st.sampled_from(KINDS))
def test_every_section_is_a_piece_of_the_message_or_missing(message: bytes, path: list[int], kind: str) -> None:
    data = normalise(message)
    root = parts.parse(data)
    found = section.extract(data, root, Section(tuple(path), kind, (b"to", b"content-type")))
    if found is not None and not kind.startswith("HEADER.FIELDS"):
        assert found in data
    if path and not kind:
        part = section.find(root, tuple(path))
        assert (part is None) is (found is None)


@given(messages)
def test_header_and_text_make_the_message(message: bytes) -> None:
    data = normalise(message)
    root = parts.parse(data)
    header = section.extract(data, root, Section(kind="HEADER"))
    rest = section.extract(data, root, Section(kind="TEXT"))
    assert header is not None
    assert rest is not None
    assert header + rest == data


@given(messages)
def test_fields_and_blocks_agree(message: bytes) -> None:
    data = normalise(message)
    header = data[: headers.header_end(data)]
    names = frozenset({b"to", b"subject", b"content-type"})
    fields = headers.fields(header)
    assert headers.field_block(header, names) == b"".join(raw for name, raw in fields if name in names)
    block = headers.field_block(header, names)
    assert headers.cut_block(block, names) == block
    assert [name for name, _ in headers.fields(headers.field_block(header, names, exclude=True))] == [
        name for name, _ in fields if name not in names
    ]


@given(messages)
def test_facts_in_one_pass_are_the_facts_one_by_one(message: bytes) -> None:
    data = normalise(message)
    names = frozenset({b"to", b"subject"})
    found = facts(data, frozenset(Fact), names)
    root = parts.parse(data)
    header = data[: root.body_start]
    day = sent_date(header)
    assert found == {
        Fact.ENVELOPE: envelope(header),
        Fact.BODY: body(root, data),
        Fact.BODYSTRUCTURE: bodystructure(root, data),
        Fact.HEADERS: headers.field_block(header, names),
        Fact.SENT: (day.toordinal() if day else 0).to_bytes(4, "big"),
    }


@given(messages)
def test_searching_never_raises_and_gives_clean_text(message: bytes) -> None:
    data = normalise(message)
    root = parts.parse(data)
    header = data[: root.body_start]
    everything = [*text.texts(data, root), *text.part_headers(data, root), text.header_text(header)]
    for found in [*everything, *text.field_texts(header, "to")]:
        found.encode("utf-8")  # no lone surrogate
        casemap(found)


@given(broken_mail)
def test_line_ends(message: bytes) -> None:
    whole = normalise(message)
    assert normalise(whole) == whole
    assert whole.replace(b"\r\n", b"\n") == message.replace(b"\r\n", b"\n")
    assert b"\n" not in whole.replace(b"\r\n", b"")


@given(st.lists(st.sampled_from((b"\r", b"\n", b"a", b"\r\n", b"ab\n", b"")), max_size=12))
def test_line_ends_in_chunks(chunks: list[bytes]) -> None:
    counter, stream = CrlfCounter(), CrlfStream()
    converted = b""
    for chunk in chunks:
        counter.feed(chunk)
        converted += stream.feed(chunk)
    assert converted == normalise(b"".join(chunks))
    assert counter.size == len(converted)


@given(st.binary(max_size=400), st.sampled_from([b"base64", b"quoted-printable", b"x-uuencode", b"7bit", b"nothing"]))
def test_decoders_take_anything(data: bytes, encoding: bytes) -> None:
    assert len(transfer.decode(data, encoding)) <= len(data)


@given(st.binary(max_size=300), st.integers(0, 3))
def test_base64_reads_back_whatever_its_padding_and_line_length(plain: bytes, cut: int) -> None:
    encoded = base64.encodebytes(plain).replace(b"\n", b"\r\n")
    assert transfer.base64(encoded) == plain
    shorter = transfer.base64(encoded.rstrip(b"=\r\n")[: -cut or None])
    assert plain.startswith(shorter)
    assert len(shorter) >= len(plain) - 3


@given(st.binary(max_size=200), st.text(max_size=20))
def test_any_charset_decodes_anything(data: bytes, name: str) -> None:
    charset.decode(data, name).encode("utf-8")


@given(broken_mail)
def test_encoded_words_take_anything(value: bytes) -> None:
    encoded_words.decode_header(value).encode("utf-8")


@given(st.binary(max_size=80))
def test_dates_take_anything(value: bytes) -> None:
    found = date_of(value)
    assert found is None or isinstance(found, datetime.date)


@given(st.integers(-(1 << 40), 1 << 37))
def test_internaldate_reads_back(seconds: int) -> None:
    shown = internaldate(seconds)
    assert len(shown) == 28
    if -62135596800 <= seconds <= 253402300799:
        assert parse_date_time(shown) == seconds
