"""User names are strangers' input: what becomes a path, and what is refused before it can."""

import re
from pathlib import Path

import pytest

from culverhouse.config import UnsafeName, account_spec, expand, load, user_form
from culverhouse.config.account import index_folder, wire_name
from culverhouse.message import utf7

from .test_load import SMALLEST


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\0b",
        "/etc",
        "a@../b",
        "a@..",
        "a@.hidden",
        ".a@b",
        "@b",
        "a@",
        "a@b@c",
        "a\nb",
        "a b",
        "a\\b",
        "a:b",
        "x" * 201,
        "é" * 101,
        "a\u202eb",
        "a\x85b",
        "\ud800",
        "a\u2028b",
    ],
)
def test_unsafe_names_are_refused_everywhere(name: str) -> None:
    with pytest.raises(UnsafeName):
        expand("/var/mail/{user}", name)
    with pytest.raises(UnsafeName):
        user_form("{user:lower}", name)


def test_fields_and_cases() -> None:
    assert expand("/m/{domain}/{local}", "Alice@Example.org") == "/m/Example.org/Alice"
    assert expand("/m/{domain:lower}/{local:upper}", "Alice@Example.org") == "/m/example.org/ALICE"
    assert expand("{home}/Maildir", "alice", "/home/alice") == "/home/alice/Maildir"
    assert user_form("{user:lower}", "Jürgen@EXAMPLE.org") == "jürgen@example.org"
    assert user_form("{local:lower}", "Alice@example.org") == "alice"
    assert expand("/m/{user}", "a..b+c=d~e") == "/m/a..b+c=d~e"


def test_an_empty_part_never_becomes_another_users_folder() -> None:
    with pytest.raises(UnsafeName, match="no domain"):
        expand("/m/{domain}/{local}", "example.org")
    with pytest.raises(UnsafeName, match="no home"):
        expand("{home}/Maildir", "alice")


def test_a_name_is_not_a_template() -> None:
    assert expand("/m/{user}", "{home}", "/root") == "/m/{home}"


def test_account_spec(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        SMALLEST + 'prefix = "INBOX/"\nmax_message_size = "1 MB"\n[index]\npath = "/idx/{user}"\n'
        '[[mailbox]]\nname = "Entwürfe"\nspecial_use = "\\\\Drafts"\nsubscribe = false\n',
        encoding="utf-8",
    )
    config = load(str(path))
    spec = account_spec(config, "alice@example.org", None)
    assert spec.store == "maildir:/var/mail/example.org/alice/Maildir"
    assert spec.index == "/idx/alice@example.org"
    assert spec.prefix == "INBOX/"
    assert spec.max_message_size == 1_000_000
    assert [(box.name, box.special_use, box.subscribe) for box in spec.defaults] == [
        ("INBOX/Entw&APw-rfe", "\\Drafts", False)
    ]
    assert account_spec(config, "alice@example.org", "/home/al").store == "maildir:/home/al/Maildir"
    for home in ("relative", "/home/../etc", "/home/\0"):
        with pytest.raises(UnsafeName):
            account_spec(config, "alice@example.org", home)
    with pytest.raises(UnsafeName):
        account_spec(config, "../root", None)


@pytest.mark.parametrize("name", ["Sent", "Entwürfe", "A&B", "日本語/台北", "&", "é&é", "x\U0001f600y", "a~b\\c"])
def test_names_are_encoded_as_the_mail_rooms_do(name: str) -> None:
    assert wire_name(name) == utf7.encode(name)
    assert utf7.decode(wire_name(name)) == name


def test_no_index_folder_looks_like_a_file_of_another_user() -> None:
    assert index_folder("/idx/alice@example.org") == "/idx/alice@example.org"
    strange = [
        "a.lock",
        "a.new-york",
        "a.gone-x",
        "a.damaged-1",
        "a.private",
        "a.viewers",
        "a.=lock",
        "a.==lock",
        "a=b",
        "a.=new-york",
        "a==b",
        "a.write",
        "a@shop.new-york.example",
    ]
    folders = [index_folder(f"/idx/{name}") for name in strange]
    assert len(set(folders)) == len(strange)
    for folder in folders:
        assert not re.search(r"\.((lock|write|viewers|private)$|(new|gone|damaged)-)", folder)
    with pytest.raises(UnsafeName):
        index_folder("/idx/" + "=" * 150)
