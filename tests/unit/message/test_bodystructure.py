"""BODY and BODYSTRUCTURE."""

import pytest

from culverhouse.message import bodystructure, parts
from culverhouse.message.lines import normalise

EXTENSION = b" NIL NIL NIL NIL"


def body(message: bytes) -> bytes:
    data = normalise(message)
    return bodystructure.body(parts.parse(data), data)


def structure(message: bytes) -> bytes:
    data = normalise(message)
    return bodystructure.bodystructure(parts.parse(data), data)


def test_imaptest_fetch_bodystructure(imaptest) -> None:
    script = imaptest("fetch-bodystructure")
    (step,) = script.steps
    shown = body(script.messages[0]).decode()
    assert f"1 FETCH (BODY {shown})".lower() == step.wanted[0].lower()


def test_defaults() -> None:
    text = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d %d'
    assert structure(b"Subject: x\n\nhello\n") == text % (7, 1) + EXTENSION + b")"
    assert body(b"Subject: x\n\nhello\n") == text % (7, 1) + b")"
    assert structure(b"") == text % (0, 0) + EXTENSION + b")"
    assert structure(b"Subject: x\n") == text % (0, 0) + EXTENSION + b")"
    assert structure(b"\nno end") == text % (6, 0) + EXTENSION + b")"
    for broken in (b"", b"garbage", b"/", b"no/", b"=x/y; z", b"text", b"text/plain charset=x"):
        assert structure(b"Content-Type: %b\n\nx\n" % broken).startswith(text[:40]), broken


def test_everything_a_part_can_say() -> None:
    message = (
        b"Content-Type: Application/PDF; name=a.pdf (comment);\n x=y\n"
        b'Content-Disposition: attachment; filename="x y"; size=12\n'
        b"Content-Language: en, de\n"
        b"Content-Location: http://example.org/y\n z\n"
        b"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\n"
        b"Content-ID: <x@y>\n"
        b"Content-Description: foo bar\n baz\n"
        b"Content-Transfer-Encoding: BASE64 (x)\n\nAAAA\n"
    )
    assert structure(message) == (
        b'("Application" "PDF" ("name" "a.pdf" "x" "y") "<x@y>" "foo bar baz" "BASE64" 6 "Q2hlY2sgSW50ZWdyaXR5IQ=="'
        b' ("attachment" ("filename" "x y" "size" "12")) ("en" "de") "http://example.org/y z")'
    )
    assert body(message) == b'("Application" "PDF" ("name" "a.pdf" "x" "y") "<x@y>" "foo bar baz" "BASE64" 6)'


def test_empty_fields_are_as_good_as_missing() -> None:
    names = (b"Disposition", b"Language", b"Transfer-Encoding", b"ID", b"MD5", b"Location", b"Description")
    message = b"".join(b"Content-%b: \n" % name for name in names) + b"\nx\n"
    assert structure(message) == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 1' + EXTENSION + b")"


def test_a_multipart_with_its_extension_data() -> None:
    message = (
        b'Content-Type: multipart/related; boundary="x"; type="text/html"\n'
        b"Content-Disposition: inline\nContent-Language: en\nContent-Location: foo\n\n"
        b"preamble\n--x\n\na\n--x\nContent-Type: text/html; charset=utf-8\n\n<p>\n</p>\n\n--x--\nepilogue\n"
    )
    first = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0'
    second = b'("text" "html" ("charset" "utf-8") NIL NIL "7bit" 11 2'
    assert structure(message) == (
        b"(" + first + EXTENSION + b")" + second + EXTENSION
        + b') "related" ("boundary" "x" "type" "text/html") ("inline" NIL) ("en") "foo")'
    )  # fmt: skip
    assert body(message) == b"(" + first + b")" + second + b') "related")'


EMPTY = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)'


@pytest.mark.parametrize(
    "rest", [b"\n\nx\n", b"; boundary=b\n\nno parts\n", b"; boundary=\n\n--\n\nx\n----\n", b";boundary=b\n"]
)
def test_a_multipart_without_parts_shows_an_empty_one(rest: bytes) -> None:
    shown = structure(b"Content-Type: multipart/mixed" + rest)
    assert shown.startswith(b"(" + EMPTY + b' "mixed" ')


def test_a_digest_holds_messages() -> None:
    message = (
        b"Content-Type: multipart/digest; boundary=x\n\n--x\n\nSubject: s\n\nb\n"
        b"--x\nContent-Type: text/plain\n\nb\n--x--\n"
    )
    nothing = b"NIL NIL NIL NIL NIL NIL NIL NIL"
    assert structure(message) == (
        b'(("message" "rfc822" NIL NIL NIL "7bit" 15 (NIL "s" ' + nothing + b') ("text" "plain" ("charset" "us-ascii")'
        b' NIL NIL "7bit" 1 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)("text" "plain" ("charset" "us-ascii") NIL NIL "7bit"'
        b' 1 0 NIL NIL NIL NIL) "digest" ("boundary" "x") NIL NIL NIL)'
    )


def test_an_embedded_message() -> None:
    message = (
        b"Content-Type: message/rfc822\nContent-Disposition: inline; filename=x.eml\n\n"
        b"From: x@y\nContent-Type: multipart/mixed; boundary=z\n\n--z\n\nA\n--z--\n"
    )
    who = b'((NIL NIL "x" "y"))'
    assert structure(message) == (
        b'("message" "rfc822" NIL NIL NIL "7bit" 73 (NIL NIL %b %b %b NIL NIL NIL NIL NIL) (("text" "plain"'
        b' ("charset" "us-ascii") NIL NIL "7bit" 1 0 NIL NIL NIL NIL) "mixed" ("boundary" "z") NIL NIL NIL) 7 NIL'
        b' ("inline" ("filename" "x.eml")) NIL NIL)' % (who, who, who)
    )


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"x/y; name=\"a \\\"b\\\" c\"", b'("name" "a \\"b\\" c")'),
        (b'x/y; name="a\n b"', b'("name" "a b")'),
        (b"x/y;;; ; a=b;;", b'("a" "b")'),
        (b"x/y; a=1; a=2", b'("a" "1" "a" "2")'),
        (b"x/y; a", b"NIL"),
        (b"x/y; a=", b'("a" "")'),
        (b"x/y; a=b c", b'("a" "b")'),
        (b"x/y; name=my file.png; z=1", b'("name" "my file.png" "z" "1")'),
        (b"x/y; name==?utf-8?q?x?=", b'("name" "=?utf-8?q?x?=")'),
        (b"x/y; name=\"J\xc3\xb6\"", b'("name" {3}\r\nJ\xc3\xb6)'),
        (b'x/y; a="unclosed; b=c', b'("a" "unclosed; b=c")'),
        (b"(c) x (d) / (e) y (f); (g) a (h) = (i) b (j)", b'("a" "b")'),
        # RFC 2231
        (b"x/y; name=\"a b\"; name*=utf-8''a%20b", b"(\"name\" \"a b\" \"name*\" \"utf-8''a%20b\")"),
        (b"x/y; name*0=foo; name*1=bar", b'("name" "foobar")'),
        (b"x/y; name*1=bar; name*0=foo", b'("name" "foobar")'),
        (b"x/y; name*0*=utf-8''a%20b; name*1*=c; name*2=\"d%e\"", b"(\"name*\" \"utf-8''a%20bcd%25e\")"),
        (b"x/y; name*0=a; name*1*=%20", b"(\"name*\" \"''a%20\")"),
        (b"x/y; name*0=foo; name*2=bar", b'("name*0" "foo" "name*2" "bar")'),
        (b"x/y; name*01=foo", b'("name*01" "foo")'),
    ],
)
def test_parameters(value: bytes, wanted: bytes) -> None:
    shown = body(b"Content-Type: " + value + b"\n\n")
    assert shown == b'("x" "y" ' + wanted + b' NIL NIL "7bit" 0)'


@pytest.mark.parametrize("value", [b'boundary*0="a "; boundary*1=b', b"boundary*=us-ascii''a%20b"])
def test_a_boundary_in_rfc_2231_form_is_a_boundary(value: bytes) -> None:
    message = b"Content-Type: multipart/mixed; " + value + b"\n\n--a b\n\nx\n--a b\n\ny\n--a b--\n"
    assert len(parts.parse(normalise(message)).children) == 2


def test_a_transfer_encoding_with_decoration() -> None:
    for written, shown in ((b'"base64"', b'"base64"'), (b"8Bit garbage", b'"8Bit"'), (b" (c) binary", b'"binary"')):
        assert b" NIL NIL " + shown + b" 0 " in structure(b"Content-Transfer-Encoding: " + written + b"\n\n")


def test_what_lies_too_deep_is_opaque() -> None:
    depth = parts.MAX_DEPTH + 20
    message = b"".join(b"Content-Type: multipart/mixed; boundary=b%03d\n\n--b%03d\n" % (n, n) for n in range(depth))
    shown = structure(message + b"Content-Type: text/plain\n\nx\n")
    assert shown.count(b'"mixed"') == parts.MAX_DEPTH
    assert b'("application" "octet-stream" NIL' in shown
    assert shown.count(b"(") == shown.count(b")")
    message = b"Content-Type: message/rfc822\n\n" * depth
    shown = structure(message + b"Subject: x\n\nx\n")
    assert shown.count(b'"rfc822"') == parts.MAX_DEPTH
    assert b'("application" "octet-stream" NIL' in shown


def test_sizes_and_lines_add_up_in_nested_messages() -> None:
    inner = b"Subject: inner\n\none\ntwo\n"
    message = b"Content-Type: message/rfc822\n\n" + b"Content-Type: message/rfc822\n\n" + inner
    root = parts.parse(normalise(message))
    assert root.message is not None
    assert root.message.message is not None
    assert root.lines == 6
    assert root.message.lines == 4
    assert root.message.message.lines == 2
    assert root.message.body_end - root.message.body_start == len(normalise(inner))
