"""What every message store promises (model/store.py), one suite for all formats and layouts.

A new format is one more line in STORES. Nothing here knows how a format keeps its mail.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from culverhouse.mailstore.formats import open_store
from culverhouse.model.account import AccountSpec
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, MAX_KEYWORDS, SEEN, SYSTEM, keyword_bit
from culverhouse.model.store import Arrival, Folder, MailStore, Stored

STORES = [("maildir", "maildir++"), ("maildir", "fs")]
Opener = Callable[..., MailStore]


@pytest.fixture(params=STORES, ids="-".join)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same store again and again, as different processes would."""
    kind, layout = request.param

    def open_it(separator: str = "/", prefix: str = "") -> MailStore:
        spec = AccountSpec(
            user="alice", store=f"{kind}:{tmp_path}/mail", layout=layout, separator=separator, prefix=prefix,
            index=f"{tmp_path}/index",
        )  # fmt: skip
        store = open_store(spec, f"{tmp_path}/private")
        store.prepare()
        return store

    return open_it


@pytest.fixture
def store(opener: Opener) -> MailStore:
    return opener()


@pytest.fixture
def inbox(store: MailStore) -> Folder:
    return store.folder("INBOX")


def text(subject: str) -> bytes:
    return f"From: a@example.org\r\nSubject: {subject}\r\n\r\nHello.\r\n".encode()


def arrival(folder: Folder, content: bytes, flags: int = 0, date: int | None = None) -> Arrival:
    spool = folder.spool()
    half = len(content) // 2
    spool.write(content[:half])
    spool.write(content[half:])
    spool.finish()
    return Arrival(spool, flags, date)


def add(folder: Folder, *subjects: str, flags: int = 0, date: int | None = None) -> list[Stored]:
    arrivals = [arrival(folder, text(subject), flags, date) for subject in subjects]
    with folder.locked() as transaction:
        return transaction.add(arrivals)


def content(folder: Folder, locator: bytes) -> bytes:
    with closing(folder.open(locator)) as message:
        return message.file.read()


def subjects(folder: Folder) -> dict[int, str]:
    """UID to subject, of all that is there."""
    scan = folder.scan()
    assert scan.stable
    with folder.locked() as transaction:
        uids = transaction.assign(sorted(scan.locators))
    found = {uid: content(folder, locator).split(b"Subject: ")[1].split(b"\r\n")[0] for locator, uid in uids.items()}
    return {uid: found[uid].decode() for uid in sorted(found)}


def refused(kind: Kind, call: Callable[..., object], *args: object) -> None:
    with pytest.raises(MailError) as caught:
        call(*args)
    assert caught.value.kind is kind, caught.value


# -- a store as a whole --


def test_a_new_store_has_inbox_alone(store: MailStore) -> None:
    assert [(info.name, info.selectable, info.has_children) for info in store.mailboxes()] == [("INBOX", True, False)]
    assert store.is_new()
    assert store.subscriptions() == []
    assert not store.folder("inbox").scan().locators


def test_a_store_is_new_until_somebody_used_it(opener: Opener) -> None:
    store = opener()
    store.subscribe("INBOX", True)
    assert not store.is_new()
    store.subscribe("INBOX", False)
    assert not opener().is_new()


def test_a_folder_made_ends_newness(store: MailStore) -> None:
    store.create("Work")
    assert not store.is_new()


def test_prepare_can_be_repeated(opener: Opener) -> None:
    header = opener().folder("INBOX").header()
    assert opener().folder("INBOX").header() == header


def test_watch_paths_are_directories(store: MailStore, inbox: Folder) -> None:
    store.create("Work/Deep")
    for path in (*store.watch_paths(), *inbox.watch_paths()):
        assert os.path.isdir(path)


# -- names --


def test_create_lists_parents_before_children(store: MailStore) -> None:
    for name in ("b", "a/b/c", "a", "INBOX/x"):
        store.create(name)
    listed = {info.name: (info.selectable, info.has_children) for info in store.mailboxes()}
    assert list(listed) == ["INBOX", "INBOX/x", "a", "a/b", "a/b/c", "b"]
    assert listed == {
        "INBOX": (True, True), "INBOX/x": (True, False), "a": (True, True), "a/b": (False, True),
        "a/b/c": (True, False), "b": (True, False),
    }  # fmt: skip


def test_a_trailing_separator_means_the_same_mailbox(store: MailStore) -> None:
    store.create("work/")
    assert [info.name for info in store.mailboxes()] == ["INBOX", "work"]


@pytest.mark.parametrize("name", ["INBOX", "inbox", "Work"])
def test_what_exists_is_not_created_again(store: MailStore, name: str) -> None:
    store.create("Work")
    refused(Kind.ALREADYEXISTS, store.create, name)


@pytest.mark.parametrize(
    "name",
    ["", "/", "a//b", "/a", "..", "a/../b", "../x", "../../etc", ".", "a/.", "a\0b", "a\nb", "a\rb", "\x7f", "x" * 300,
     "a/" * 2000 + "a"],
)  # fmt: skip
def test_impossible_names(opener: Opener, name: str, tmp_path: Path) -> None:
    store = opener()
    outside = [path for path in tmp_path.parent.rglob("*") if not path.is_relative_to(tmp_path / "mail")]
    refused(Kind.CANNOT, store.create, name)
    with pytest.raises(MailError) as caught:
        store.folder(name)
    assert caught.value.kind in (Kind.CANNOT, Kind.NONEXISTENT)
    store.create("source")
    refused(Kind.CANNOT, store.rename, "source", name)
    store.delete("source")
    after = [path for path in tmp_path.parent.rglob("*") if not path.is_relative_to(tmp_path / "mail")]
    assert after == outside
    assert [info.name for info in store.mailboxes()] == ["INBOX"]


@pytest.mark.parametrize(
    "name", ["Entw&APw-rfe", "a b", "&", "*", "x" * 200, "\udcff\udc80", "(a)", '"', "\\", "~", "é"]
)
def test_names_that_are_kept_as_they_are(opener: Opener, name: str) -> None:
    opener().create(name)
    store = opener()
    assert [info.name for info in store.mailboxes()] == ["INBOX", name]
    add(store.folder(name), "kept")
    assert list(subjects(store.folder(name)).values()) == ["kept"]


@pytest.mark.parametrize(("separator", "prefix"), [(".", ""), (".", "INBOX."), ("/", "Mail/"), ("^", "")])
def test_separator_and_prefix(opener: Opener, separator: str, prefix: str) -> None:
    plain, store = opener(), opener(separator, prefix)
    name = prefix + separator.join(["a", "b"])
    store.create(name)
    assert "a/b" in [info.name for info in plain.mailboxes()]
    listed = [info.name for info in store.mailboxes()]
    assert listed[0] == "INBOX"
    assert name in listed
    store.subscribe(name, True)
    assert store.subscriptions() == [name]
    assert plain.subscriptions() == ["a/b"]
    if prefix:
        refused(Kind.NONEXISTENT, store.folder, "elsewhere")
        refused(Kind.CANNOT, store.create, "elsewhere")


def test_inbox_in_a_prefix_is_inbox_in_any_case(opener: Opener) -> None:
    store = opener(".", "INBOX.")
    store.create("inbox.Sent")
    assert store.folder("Inbox.Sent").header() == store.folder("INBOX.Sent").header()


def test_special_use_is_remembered(opener: Opener) -> None:
    opener().create("Gesendet", ["\\Sent"])
    store = opener()
    assert {info.name: info.special_use for info in store.mailboxes()} == {"INBOX": (), "Gesendet": ("\\Sent",)}
    store.rename("Gesendet", "Fort")
    assert {info.name: info.special_use for info in store.mailboxes()} == {"INBOX": (), "Fort": ("\\Sent",)}


def test_delete_removes_messages_and_keeps_children(store: MailStore) -> None:
    store.create("a")
    store.create("a/b")
    add(store.folder("a"), "gone")
    add(store.folder("a/b"), "stays")
    store.delete("a")
    assert [(info.name, info.selectable) for info in store.mailboxes()] == [
        ("INBOX", True), ("a", False), ("a/b", True)
    ]  # fmt: skip
    refused(Kind.NONEXISTENT, store.folder, "a")
    assert list(subjects(store.folder("a/b")).values()) == ["stays"]
    refused(Kind.HASCHILDREN, store.delete, "a")
    store.delete("a/b")
    assert "a/b" not in [info.name for info in store.mailboxes()]


@pytest.mark.parametrize("name", ["INBOX", "InBox"])
def test_inbox_is_never_deleted(store: MailStore, name: str) -> None:
    refused(Kind.CANNOT, store.delete, name)


def test_what_does_not_exist(store: MailStore) -> None:
    refused(Kind.NONEXISTENT, store.delete, "nowhere")
    refused(Kind.NONEXISTENT, store.rename, "nowhere", "there")
    refused(Kind.NONEXISTENT, store.folder, "nowhere")


def test_a_name_never_meets_a_uidvalidity_again(opener: Opener) -> None:
    store = opener()
    seen = []
    for _ in range(3):
        seen.append(store.create("a").header().uidvalidity)
        store.delete("a")
    store.create("b")
    store.rename("b", "a")
    seen.append(opener().folder("a").header().uidvalidity)
    assert len(set(seen)) == 4
    assert sorted(seen) == seen


def test_a_mailbox_made_anew_is_another_one(store: MailStore) -> None:
    first = store.create("a").header()
    store.delete("a")
    second = store.create("a").header()
    assert first.guid != second.guid
    assert (first.uidnext, second.uidnext) == (1, 1)


def test_rename_takes_identity_messages_and_children_along(store: MailStore) -> None:
    for name in ("a", "a/b", "a/b/c", "ab"):
        store.create(name)
    add(store.folder("a"), "one")
    add(store.folder("a/b/c"), "three")
    header, deep = store.folder("a").header(), store.folder("a/b/c").header()
    store.rename("a", "x/y")
    listed = [info.name for info in store.mailboxes() if info.selectable]
    assert listed == ["INBOX", "ab", "x/y", "x/y/b", "x/y/b/c"]
    assert store.folder("x/y").header() == header
    assert store.folder("x/y/b/c").header() == deep
    assert subjects(store.folder("x/y")) == {1: "one"}
    assert subjects(store.folder("x/y/b/c")) == {1: "three"}


@pytest.mark.parametrize(("old", "new", "kind"), [
    ("a", "b", Kind.ALREADYEXISTS), ("a", "inbox", Kind.ALREADYEXISTS), ("a", "a", Kind.ALREADYEXISTS),
    ("a", "a/c", Kind.CANNOT),
])  # fmt: skip
def test_impossible_renames(store: MailStore, old: str, new: str, kind: Kind) -> None:
    store.create("a")
    store.create("b")
    refused(kind, store.rename, old, new)
    assert [info.name for info in store.mailboxes()] == ["INBOX", "a", "b"]


def test_renaming_inbox_moves_its_messages(store: MailStore, inbox: Folder) -> None:
    with inbox.locked() as transaction:
        transaction.keyword_numbers(["first", "second"])
    header = inbox.header()
    add(inbox, "one", flags=SEEN | keyword_bit(1), date=1_000_000)
    store.create("INBOX/child")
    store.rename("INBOX", "old")
    assert inbox.header().uidvalidity == header.uidvalidity
    assert subjects(inbox) == {}
    old = store.folder("old")
    assert subjects(old) == {1: "one"}
    (locator,) = old.scan().locators
    mask = old.parse(locator).flags
    assert mask & SYSTEM == SEEN
    assert [word for number, word in enumerate(old.keywords()) if mask & keyword_bit(number)] == ["second"]
    with closing(old.open(locator)) as message:
        assert message.internaldate == 1_000_000
    assert store.folder("INBOX/child")
    refused(Kind.ALREADYEXISTS, store.rename, "INBOX", "old")


def test_subscriptions(opener: Opener) -> None:
    store = opener()
    store.create("Work")
    for name in ("Work", "inbox", "never/was", "Work"):
        store.subscribe(name, True)
    assert opener().subscriptions() == ["Work", "INBOX", "never/was"]
    store.subscribe("Work", False)
    store.subscribe("not there", False)
    assert opener().subscriptions() == ["INBOX", "never/was"]
    store.delete("Work")
    assert opener().subscriptions() == ["INBOX", "never/was"]


# -- messages --


def test_what_is_added_is_what_is_read(opener: Opener) -> None:
    raw = b"Subject: bare\n\nline\r\nlast\r"
    inbox = opener().folder("INBOX")
    with inbox.locked() as transaction:
        (stored,) = transaction.add([arrival(inbox, raw, FLAGGED | DRAFT, 1_234_567_890)])
    assert (stored.uid, stored.flags, stored.size, stored.vsize) == (1, FLAGGED | DRAFT, len(raw), len(raw) + 2)
    again = opener().folder("INBOX")
    assert again.scan().locators == {stored.locator}
    parsed = again.parse(stored.locator)
    assert (parsed.flags, parsed.size, parsed.vsize) == (FLAGGED | DRAFT, stored.size, stored.vsize)
    with closing(again.open(stored.locator)) as message:
        assert (message.file.read(), message.size, message.internaldate) == (raw, len(raw), 1_234_567_890)


def test_a_date_left_out_is_now(inbox: Folder) -> None:
    before = int(time.time())
    (stored,) = add(inbox, "now")
    assert before <= stored.internaldate <= time.time()
    with closing(inbox.open(stored.locator)) as message:
        assert abs(message.internaldate - stored.internaldate) <= 1


def test_a_message_without_flags_is_recent_until_claimed(inbox: Folder) -> None:
    (plain,) = add(inbox, "plain")
    (seen,) = add(inbox, "seen", flags=SEEN)
    assert (plain.recent, seen.recent) == (True, False)
    assert inbox.parse(plain.locator).recent
    claimed = inbox.claim_new([plain.locator])
    assert set(claimed) == {plain.locator}
    assert not inbox.parse(claimed[plain.locator]).recent
    assert inbox.scan().locators == {claimed[plain.locator], seen.locator}
    assert inbox.parse(claimed[plain.locator]).base == inbox.parse(plain.locator).base
    assert inbox.claim_new([plain.locator]) == claimed


def test_claiming_what_is_gone_leaves_it_out(inbox: Folder) -> None:
    (stored,) = add(inbox, "gone")
    inbox.expunge(stored.uid, stored.locator, ())
    assert inbox.claim_new([stored.locator]) == {}


def test_uids_ascend_and_are_never_used_twice(opener: Opener) -> None:
    inbox = opener().folder("INBOX")
    first = add(inbox, "one", "two", "three")
    assert [stored.uid for stored in first] == [1, 2, 3]
    for stored in first:
        assert inbox.expunge(stored.uid, stored.locator, ())
    inbox = opener().folder("INBOX")
    assert inbox.header().uidnext == 4
    assert [stored.uid for stored in add(inbox, "four")] == [4]


def test_uids_last(opener: Opener) -> None:
    add(opener().folder("INBOX"), "one", "two")
    add(opener().folder("INBOX"), "three")
    assert subjects(opener().folder("INBOX")) == {1: "one", 2: "two", 3: "three"}
    with opener().folder("INBOX").locked() as transaction:
        assert sorted(transaction.uid_map().values()) == [1, 2, 3]


def test_assign_gives_the_same_uids_again_and_new_ones_to_the_retired(inbox: Folder) -> None:
    stored = add(inbox, "one", "two")
    locators = [one.locator for one in stored]
    with inbox.locked() as transaction:
        assert transaction.assign(locators) == {locators[0]: 1, locators[1]: 2}
        assert transaction.assign([]) == {}
        assert transaction.assign(locators, lambda uid: uid == 1) == {locators[0]: 3, locators[1]: 2}
        assert transaction.header.uidnext == 4
    with inbox.locked() as transaction:
        assert transaction.assign(locators) == {locators[0]: 3, locators[1]: 2}


def test_the_header_is_current_in_and_after_a_transaction(inbox: Folder) -> None:
    arrivals = [arrival(inbox, text("one"))]
    with inbox.locked() as transaction:
        assert transaction.header.uidnext == 1
        transaction.add(arrivals)
        assert transaction.header.uidnext == 2
        header = transaction.header
    assert inbox.header() == header
    assert len(bytes.fromhex(header.guid)) == 16


def test_adding_nothing(inbox: Folder) -> None:
    with inbox.locked() as transaction:
        assert transaction.add([]) == []
        assert transaction.copy_from(inbox, []) == []
        assert transaction.move_from(inbox, []) == []
        assert transaction.header.uidnext == 1


def test_a_discarded_spool_leaves_nothing(opener: Opener, tmp_path: Path) -> None:
    inbox = opener().folder("INBOX")
    before = sorted(tmp_path.rglob("*"))
    spool = inbox.spool()
    spool.write(b"half")
    spool.discard()
    spool.discard()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_spool_counts_line_ends_across_writes(inbox: Folder) -> None:
    spool = inbox.spool()
    for piece in (b"a\r", b"\nb\n", b"\nc\r", b"d\n", b"", b"\r\n"):
        spool.write(piece)
    spool.finish()
    assert (spool.size, spool.vsize) == (12, 15)
    spool.discard()


# -- flags --


def test_flags_change_on_disk(opener: Opener) -> None:
    inbox = opener().folder("INBOX")
    (stored,) = add(inbox, "one")
    changed = inbox.change_flags(stored.locator, lambda flags: flags | SEEN | DELETED)
    assert changed is not None
    locator, flags = changed
    assert flags == SEEN | DELETED
    other = opener().folder("INBOX")
    assert other.scan().locators == {locator}
    assert other.parse(locator).flags == SEEN | DELETED
    assert other.exists(locator)
    assert not other.exists(stored.locator)


def test_an_old_locator_leads_to_the_message(opener: Opener) -> None:
    inbox, other = opener().folder("INBOX"), opener().folder("INBOX")
    (stored,) = add(inbox, "one")
    first = other.change_flags(stored.locator, lambda flags: flags | SEEN)
    second = inbox.change_flags(stored.locator, lambda flags: flags | FLAGGED)
    assert first is not None
    assert second is not None
    assert second[1] == SEEN | FLAGGED
    assert other.locate(stored.locator) == other.locate(first[0]) == second[0]
    assert content(other, stored.locator) == text("one")
    third = inbox.change_flags(first[0], lambda flags: flags & ~SEEN)
    assert third is not None
    assert third[1] == FLAGGED


def test_a_change_that_changes_nothing(inbox: Folder) -> None:
    (stored,) = add(inbox, "one")
    assert inbox.change_flags(stored.locator, lambda flags: flags) == (stored.locator, 0)
    assert inbox.parse(stored.locator).recent


def test_what_is_gone_cannot_change(inbox: Folder) -> None:
    (stored,) = add(inbox, "one")
    assert inbox.expunge(1, stored.locator, ())
    assert inbox.change_flags(stored.locator, lambda flags: flags | SEEN) is None
    assert inbox.locate(stored.locator) is None
    assert not inbox.expunge(1, stored.locator, ())
    refused(Kind.EXPUNGED, inbox.open, stored.locator)


def test_all_keywords_a_mailbox_can_have(opener: Opener) -> None:
    inbox = opener().folder("INBOX")
    words = [f"word-{number}" for number in range(MAX_KEYWORDS)]
    with inbox.locked() as transaction:
        assert transaction.keyword_numbers(words[:30]) == list(range(30))
        assert transaction.keyword_numbers([*words, "one-more"]) == [*range(MAX_KEYWORDS), None]
        assert transaction.keyword_numbers(["WORD-3", "Word-40"]) == [3, 40]
    assert opener().folder("INBOX").keywords() == tuple(words)
    mask = SEEN | keyword_bit(0) | keyword_bit(25) | keyword_bit(26) | keyword_bit(MAX_KEYWORDS - 1)
    (stored,) = add(inbox, "one", flags=mask)
    assert stored.flags == mask
    other = opener().folder("INBOX")
    assert [other.parse(locator).flags for locator in other.scan().locators] == [mask]
    changed = other.change_flags(stored.locator, lambda flags: flags & ~keyword_bit(26) | keyword_bit(30) | ANSWERED)
    assert changed is not None
    third = opener().folder("INBOX")
    (locator,) = third.scan().locators
    assert locator == changed[0]
    assert third.parse(locator).flags == changed[1] == mask & ~keyword_bit(26) | keyword_bit(30) | ANSWERED


@pytest.mark.parametrize("word", ["", "two words", "tab\there", "new\nline", "x" * 256])
def test_words_that_are_no_keywords(inbox: Folder, word: str) -> None:
    with inbox.locked() as transaction:
        assert transaction.keyword_numbers([word, "good"]) == [None, 0]
    assert inbox.keywords() == ("good",)


# -- copy and move --


@pytest.fixture
def other(store: MailStore) -> Folder:
    return store.create("Other")


def test_a_copy_has_its_own_flags_and_the_same_date(inbox: Folder, other: Folder) -> None:
    one, two = add(inbox, "one", "two", flags=SEEN, date=1_000_000_000)
    with other.locked() as transaction:
        copies = transaction.copy_from(inbox, [(two.locator, FLAGGED), (one.locator, 0)])
        first, second = copies
        assert first is not None
        assert second is not None
    assert [(copy.uid, copy.flags, copy.internaldate, copy.size, copy.vsize) for copy in (first, second)] == [
        (1, FLAGGED, 1_000_000_000, two.size, two.vsize), (2, 0, 1_000_000_000, one.size, one.vsize)
    ]  # fmt: skip
    assert subjects(other) == {1: "two", 2: "one"}
    assert subjects(inbox) == {1: "one", 2: "two"}
    other.change_flags(first.locator, lambda flags: flags | DELETED)
    assert inbox.parse(two.locator).flags == SEEN
    assert inbox.exists(two.locator)
    inbox.expunge(2, two.locator, ())
    assert subjects(other) == {1: "two", 2: "one"}


def test_a_copy_within_a_folder_is_another_message(inbox: Folder) -> None:
    (one,) = add(inbox, "one", flags=SEEN)
    with inbox.locked() as transaction:
        (copy,) = transaction.copy_from(inbox, [(one.locator, SEEN)])
    assert copy is not None
    assert copy.uid == 2
    assert subjects(inbox) == {1: "one", 2: "one"}


def test_a_copy_of_what_is_gone_is_none(inbox: Folder, other: Folder) -> None:
    one, two = add(inbox, "one", "two")
    inbox.expunge(1, one.locator, ())
    with other.locked() as transaction:
        gone, copy = transaction.copy_from(inbox, [(one.locator, 0), (two.locator, 0)])
    assert gone is None
    assert copy is not None
    assert subjects(other) == {1: "two"}


def test_a_copy_finds_a_message_whose_flags_changed(opener: Opener, inbox: Folder, other: Folder) -> None:
    (one,) = add(inbox, "one")
    opener().folder("INBOX").change_flags(one.locator, lambda flags: flags | SEEN)
    with other.locked() as transaction:
        (copy,) = transaction.copy_from(inbox, [(one.locator, 0)])
    assert copy is not None
    assert content(other, copy.locator) == text("one")


def test_a_moved_message_is_only_in_its_new_folder(inbox: Folder, other: Folder) -> None:
    one, two, three = add(inbox, "one", "two", "three", date=1_000_000_000)
    inbox.expunge(2, two.locator, ())
    with other.locked() as transaction:
        moved = transaction.move_from(inbox, [(three.locator, SEEN), (two.locator, 0), (one.locator, 0)])
    assert [stored and (stored.uid, stored.flags, stored.internaldate) for stored in moved] == [
        (1, SEEN, 1_000_000_000), None, (2, 0, 1_000_000_000)
    ]  # fmt: skip
    assert subjects(other) == {1: "three", 2: "one"}
    assert subjects(inbox) == {}
    assert inbox.header().uidnext == 4


def test_moving_to_and_fro_gives_new_uids(inbox: Folder, other: Folder) -> None:
    (one,) = add(inbox, "one")
    with other.locked() as transaction:
        (there,) = transaction.move_from(inbox, [(one.locator, 0)])
    assert there is not None
    with inbox.locked() as transaction:
        (back,) = transaction.move_from(other, [(there.locator, 0)])
    assert back is not None
    assert back.uid == 2
    assert subjects(inbox) == {2: "one"}


# -- expunged but viewed --


def test_expunged_messages_stay_readable_for_their_viewers(opener: Opener) -> None:
    inbox, viewer = opener().folder("INBOX"), opener().folder("INBOX")
    (one,) = add(inbox, "one", date=1_000_000)
    assert inbox.expunge(1, one.locator, (101, 102))
    assert inbox.scan().locators == set()
    for pid in (101, 102):
        with closing(viewer.open_expunged(pid, 1)) as message:
            assert (message.file.read(), message.internaldate) == (text("one"), 1_000_000)
    viewer.release_expunged(101, [1, 7])
    refused(Kind.EXPUNGED, viewer.open_expunged, 101, 1)
    viewer.open_expunged(102, 1).close()
    refused(Kind.EXPUNGED, viewer.open_expunged, 102, 2)


def test_moved_messages_stay_readable_for_their_viewers(inbox: Folder, other: Folder) -> None:
    (one,) = add(inbox, "one")
    inbox.keep_expunged(1, one.locator, (101,))
    with other.locked() as transaction:
        transaction.move_from(inbox, [(one.locator, 0)])
    with closing(inbox.open_expunged(101, 1)) as message:
        assert message.file.read() == text("one")
    assert subjects(inbox) == {}


def test_an_open_message_outlives_its_name(inbox: Folder) -> None:
    (one,) = add(inbox, "one")
    with closing(inbox.open(one.locator)) as message:
        inbox.expunge(1, one.locator, ())
        assert message.file.read() == text("one")


# -- fingerprints --


def test_a_fingerprint_changes_with_the_folder(opener: Opener) -> None:
    inbox = opener().folder("INBOX")
    keys = [inbox.fingerprint().key]
    assert inbox.fingerprint().key == keys[0]

    def changed(what: Callable[[], object]) -> None:
        time.sleep(0.02)
        what()
        keys.append(inbox.fingerprint().key)
        assert keys[-1] not in keys[:-1]

    changed(lambda: add(inbox, "one", flags=SEEN))
    (locator,) = inbox.scan().locators
    changed(lambda: inbox.change_flags(locator, lambda flags: flags | FLAGGED))
    (locator,) = inbox.scan().locators
    changed(lambda: inbox.expunge(1, locator, ()))
    with inbox.locked() as transaction:
        changed(lambda: transaction.keyword_numbers(["new"]))
    assert opener().folder("INBOX").fingerprint().key == keys[-1]
    assert not inbox.fingerprint().settled


def test_a_scan_bears_the_fingerprint_of_its_time(inbox: Folder) -> None:
    add(inbox, "one")
    time.sleep(0.02)
    scan = inbox.scan()
    assert scan.stable
    assert scan.fingerprint.key == inbox.fingerprint().key
    time.sleep(0.02)
    add(inbox, "two")
    assert scan.fingerprint.key != inbox.fingerprint().key


def test_a_folder_that_is_gone_says_so(store: MailStore, other: Folder) -> None:
    (one,) = add(other, "one")
    store.delete("Other")
    for call in (other.fingerprint, other.scan, other.header, other.spool):
        refused(Kind.NONEXISTENT, call)
    with pytest.raises(MailError) as caught, other.locked():
        pass
    assert caught.value.kind is Kind.NONEXISTENT
    assert not other.exists(one.locator)


# -- sizes, modseq, POP3 --


def test_a_wrong_size_is_corrected_and_reported(opener: Opener) -> None:
    inbox = opener().folder("INBOX")
    (one,) = add(inbox, "one", flags=SEEN)
    corrected = inbox.correct_size(one.locator, 1234, 5678)
    parsed = inbox.parse(corrected)
    assert (parsed.base, parsed.flags) == (inbox.parse(one.locator).base, SEEN)
    assert (parsed.size, parsed.vsize) == (1234, 5678)
    assert [report.event for report in inbox.drain_reports()] == ["size-corrected"]
    assert inbox.drain_reports() == []
    assert subjects(opener().folder("INBOX")) == {1: "one"}
    assert inbox.correct_size(corrected, 1234, 5678) == corrected


def test_the_modseq_ceiling_lasts(opener: Opener) -> None:
    store = opener()
    inbox = store.folder("INBOX")
    assert store.modseq_ceiling(inbox) == 0
    with inbox.locked() as transaction:
        transaction.reserve_modseq(1 << 62)
    assert opener().modseq_ceiling(inbox) == 1 << 62
    store.create("Other")
    assert store.modseq_ceiling(store.folder("Other")) == 0


def test_pop3_names_are_empty_for_most(inbox: Folder) -> None:
    add(inbox, "one", "two")
    names = inbox.pop3_names()
    assert (names.uidls, names.orders) == ({}, {})


# -- together --


def test_many_writers_give_each_message_its_uid(opener: Opener) -> None:
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            folder = opener().folder("INBOX")
            for turn in range(5):
                add(folder, f"{number}-{turn}")
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    found = subjects(opener().folder("INBOX"))
    assert list(found) == list(range(1, 21))
    assert sorted(found.values()) == sorted(f"{number}-{turn}" for number in range(4) for turn in range(5))
    assert not opener().folder("INBOX").drain_reports()


def test_a_lock_that_is_held_keeps_others_waiting(opener: Opener) -> None:
    one, two = opener().folder("INBOX"), opener().folder("INBOX")
    order: list[str] = []

    def second() -> None:
        with two.locked():
            order.append("second")

    with one.locked():
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def messages_of(folders: Sequence[Folder]) -> Iterator[str]:
    for folder in folders:
        yield from subjects(folder).values()


def test_two_movers_move_each_message_once(opener: Opener) -> None:
    store = opener()
    inbox, targets = store.folder("INBOX"), [store.create("a"), store.create("b")]
    stored = add(inbox, *(f"m{number}" for number in range(12)))
    failures: list[BaseException] = []

    def move(target: Folder) -> None:
        try:
            for one in stored:
                with target.locked() as transaction:
                    transaction.move_from(inbox, [(one.locator, SEEN)])
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=move, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(messages_of([inbox, *targets])) == sorted(f"m{number}" for number in range(12))
