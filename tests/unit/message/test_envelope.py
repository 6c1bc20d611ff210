"""ENVELOPE: imaptest's answers, the RFC's rules, and addresses as real mail has them."""

import pytest

from culverhouse.message import addresses
from culverhouse.message.envelope import envelope
from culverhouse.message.headers import header_end


def to(value: bytes) -> bytes:
    """What ENVELOPE shows of this To field."""
    shown = envelope(b"To: " + value + b"\r\n\r\n")
    start, end = b"(NIL NIL NIL NIL NIL ", b" NIL NIL NIL NIL)"
    assert shown.startswith(start)
    assert shown.endswith(end)
    return shown[len(start) : -len(end)]


def test_imaptest_fetch_envelope(imaptest) -> None:
    script = imaptest("fetch-envelope")
    (step,) = script.steps
    assert len(step.wanted) == len(script.messages)
    for message, wanted in zip(script.messages, step.wanted, strict=True):
        shown = envelope(message[: header_end(message)]).decode()
        assert f"FETCH (ENVELOPE {shown})" == wanted.partition(" ")[2]


def test_missing_fields_are_nil_and_empty_ones_are_empty() -> None:
    assert envelope(b"\r\n") == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    header = b"Date:\r\nSubject: \r\nFrom:\r\nTo: \r\nIn-Reply-To:\r\nMessage-ID:\r\n\r\n"
    assert envelope(header) == b'("" "" NIL NIL NIL NIL NIL NIL "" "")'


def test_sender_and_reply_to_default_to_from() -> None:
    who = b'((NIL NIL "a" "b"))'
    for other in (b"", b"Sender:\r\nReply-To:\r\n", b"Sender: ,\r\nReply-To: (none)\r\n"):
        wanted = b"(NIL NIL %b %b %b NIL NIL NIL NIL NIL)" % (who, who, who)
        assert envelope(b"From: a@b\r\n" + other + b"\r\n") == wanted
    assert envelope(b"Sender: a@b\r\n\r\n") == b"(NIL NIL NIL %b NIL NIL NIL NIL NIL NIL)" % who


def test_texts_are_unfolded_and_not_decoded() -> None:
    header = (
        b"Subject: =?utf-8?q?J=C3=B6rg?=\r\n\tsays  hello\r\n"
        b"Date: Thu, 15 Feb 2007\r\n 01:02:03 +0200\r\n"
        b"Message-Id: <a@b>\r\n <c@d>\r\n\r\n"
    )
    assert envelope(header) == (
        b'("Thu, 15 Feb 2007 01:02:03 +0200" "=?utf-8?q?J=C3=B6rg?= says hello" NIL NIL NIL NIL NIL NIL NIL'
        b' "<a@b> <c@d>")'
    )


def test_texts_that_need_a_literal() -> None:
    shown = envelope(b"Subject: J\xc3\xb6rg \"x\"\r\nFrom: J\xc3\xb6rg <a@b>\r\n\r\n")
    who = b"(({5}\r\nJ\xc3\xb6rg NIL \"a\" \"b\"))"
    assert shown == b'(NIL {9}\r\nJ\xc3\xb6rg "x" %b %b %b NIL NIL NIL NIL NIL)' % (who, who, who)
    assert envelope(b"Subject: a\0b\r\n\r\n") == b"(NIL {5}\r\na\xef\xbf\xbdb NIL NIL NIL NIL NIL NIL NIL NIL)"


def test_of_repeated_fields_the_last_counts_but_all_addresses_do() -> None:
    shown = envelope(b"Subject: one\r\nTo: a@b\r\nSubject: two\r\nTo:\r\nTo: c@d\r\n\r\n")
    assert shown == b'(NIL "two" NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) NIL NIL NIL NIL)'


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        # RFC 5322 3.4 and its obsolete forms
        (b"a@b", b'((NIL NIL "a" "b"))'),
        (b"<a@b>", b'((NIL NIL "a" "b"))'),
        (b"Real Name <a@b.c>", b'(("Real Name" NIL "a" "b.c"))'),
        (b'"Last, First" <a@b>, c@d', b'(("Last, First" NIL "a" "b")(NIL NIL "c" "d"))'),
        (b'"a \\"b\\" c" <d@e>', b'(("a \\"b\\" c" NIL "d" "e"))'),
        (b'"" <a@b>', b'((NIL NIL "a" "b"))'),
        (b'"a" b "c" <c@d>', b'(("a b c" NIL "c" "d"))'),
        (b"J. Smith <a@b>", b'(("J. Smith" NIL "a" "b"))'),
        (b"a.b.c@d", b'((NIL NIL "a.b.c" "d"))'),
        (b"a . b @ c . d", b'((NIL NIL "a.b" "c.d"))'),
        (b'"a b"@c.d', b'((NIL NIL "a b" "c.d"))'),
        (b"a@[192.0.2.1]", b'((NIL NIL "a" "[192.0.2.1]"))'),
        (b"a@b (Real Name)", b'(("Real Name" NIL "a" "b"))'),
        (b"a@b (c (d) e)", b'(("c (d) e" NIL "a" "b"))'),
        (b"Name (comment) <a@b>", b'(("Name" NIL "a" "b"))'),
        (b"<a (comment)@ (comment) b.c>", b'((NIL NIL "a" "b.c"))'),
        (b"<@r1,@r2:a@b>", b'((NIL "@r1,@r2" "a" "b"))'),
        (b"Very\r\n Folded\r\n\t<a@b>", b'(("Very Folded" NIL "a" "b"))'),
        (b"g: a@b, N <c@d>;", b'((NIL NIL "g" NIL)(NIL NIL "a" "b")("N" NIL "c" "d")(NIL NIL NIL NIL))'),
        (b"g: a@b;, c@d", b'((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)(NIL NIL "c" "d"))'),
        (b"undisclosed-recipients:;", b'((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL))'),
        (b'"my group": a@b;', b'((NIL NIL "my group" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))'),
        (b"my group: (nobody) ;", b'((NIL NIL "my group" NIL)(NIL NIL NIL NIL))'),
        (b",, a@b ,,", b'((NIL NIL "a" "b"))'),
        (b"=?utf-8?q?J=C3=B6?= X <a@b>", b'(("=?utf-8?q?J=C3=B6?= X" NIL "a" "b"))'),
        (b"(only a comment)", b"NIL"),
        (b"", b"NIL"),
        (b" , ", b"NIL"),
        # what real clients get wrong
        (b"a@b <c@d>", b'(("a@b" NIL "c" "d"))'),
        (b"'a@b' <c@d>", b"((\"'a@b'\" NIL \"c\" \"d\"))"),
        (b"a@b; c@d;", b'((NIL NIL "a" "b")(NIL NIL "c" "d"))'),
        (b"a@b c@d", b'((NIL NIL "a" "b")(NIL NIL "c" "d"))'),
        (b"<a@b> <c@d>", b'((NIL NIL "a" "b")(NIL NIL "c" "d"))'),
        (b"Name a@b", b'(("Name" NIL "a" "b"))'),
        (b"=?utf-8?q?Last,_First?= <a@b>", b'(("=?utf-8?q?Last,_First?=" NIL "a" "b"))'),
        (b"[list] Name <a@b>", b'(("[list] Name" NIL "a" "b"))'),
        (b"<a b@c>", b'((NIL NIL "a b" "c"))'),
        (b"<a@b@c>", b'((NIL NIL "a@b" "c"))'),
        (b"foo <a@b", b'(("foo" NIL "a" "b"))'),
        (b'"unclosed <a@b>, c@d', b'(("unclosed" NIL "a" "b")(NIL NIL "c" "d"))'),
        (b"(unclosed <a@b>, c@d", b'(("unclosed" NIL "a" "b")(NIL NIL "c" "d"))'),
        (b'\\"x\\" <a@b>', b'(("x" NIL "a" "b"))'),
        (b"a@b.", b'((NIL NIL "a" "b."))'),
        (b"g: a@b", b'((NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL))'),
        (b"a\0b <c@d>", b'(("ab" NIL "c" "d"))'),
        (b"J\xc3\xb6 <j\xc3\xb6@d\xc3\xb6>", b"(({3}\r\nJ\xc3\xb6 NIL {3}\r\nj\xc3\xb6 {3}\r\nd\xc3\xb6))"),
        (b"foo", b'((NIL NIL "foo" "MISSING_DOMAIN"))'),
        (b"foo bar", b'(("foo bar" NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))'),
        (b"Smith, John <a@b>", b'((NIL NIL "Smith" "MISSING_DOMAIN")("John" NIL "a" "b"))'),
        (b"a@", b'((NIL NIL "a" "MISSING_DOMAIN"))'),
        (b"@b", b'((NIL NIL "MISSING_MAILBOX" "b"))'),
        (b"<>", b'((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN"))'),
        (b"x: y: a@b;;", b'((NIL NIL "x" NIL)("y:" NIL "a" "b")(NIL NIL NIL NIL))'),
    ],
)
def test_addresses(value: bytes, wanted: bytes) -> None:
    assert to(value) == wanted


def test_the_quick_way_and_the_thorough_one_agree() -> None:
    for value in (b"a@b", b"N M <a@b>", b'"N, M" <a.b@c.d>, e@f,<g@h>', b"=?x?q?y?= <a@b>", b"<a@b>"):
        assert addresses.usual(value) is not None
        assert addresses._Reader(value).read() == addresses.parse(value)


def test_no_more_addresses_than_the_limit() -> None:
    value = b",".join(b"a@b" for _ in range(addresses.MAX_ADDRESSES + 5))
    assert len(addresses.parse(value)) == addresses.MAX_ADDRESSES
    assert to(value).count(b'"a"') == addresses.MAX_ADDRESSES
    assert len(addresses.parse(b"g:" + value)) == addresses.MAX_ADDRESSES
