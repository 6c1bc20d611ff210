"""Modified UTF-7."""

import pytest

from culverhouse.message import utf7


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", ""),
        ("INBOX", "INBOX"),
        ("~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("Entw\u00fcrfe", "Entw&APw-rfe"),
        ("A & B", "A &- B"),
        ("&", "&-"),
        ("&&", "&-&-"),
        ("\u00e4&\u00e4", "&AOQ-&-&AOQ-"),
        ("\U0001f600", "&2D3eAA-"),
        ("tab\t", "tab&AAk-"),
        ("p\u00e4\u00e4", "p&AOQA5A-"),
    ],
)
def test_known_pairs_in_both_directions(text: str, name: str) -> None:
    assert utf7.encode(text) == name
    assert utf7.decode(name) == text
    assert utf7.is_valid(name)


@pytest.mark.parametrize(
    "name",
    [
        "&",
        "a&b",
        "&Jjo",
        "&Jjo!",
        "&U,BTFw-&ZeVnLIqe-",  # a run that goes on has to go on, not begin anew
        "&AGE-",  # printable ASCII encoded
        "&ACY-",  # so is the ampersand
        "&AOR-",  # bits left over
        "&AO-",
        "&A-",
        "&AOQ=-",
        "&AOQ/-",
        "&2D0-",  # half a surrogate pair
        "&3gA-",
        "Entw\u00fcrfe",
        "tab\t",
        "\x7f",
        "nul\0",
        "\udce4",
        "a&-b&",
    ],
)
def test_invalid_names(name: str) -> None:
    assert not utf7.is_valid(name)
    with pytest.raises(ValueError, match=r"."):
        utf7.decode(name)


def test_a_lone_surrogate_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        utf7.encode("\ud800")
