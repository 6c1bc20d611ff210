"""Jobs in helper processes: what they read, what they put into the index, what they give back."""

import datetime
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from culverhouse.account import search
from culverhouse.account.account import Account
from culverhouse.account.jobs import PORTION, FillFacts, SearchMessages
from culverhouse.account.reading import FIRST, read_header
from culverhouse.account.view import View
from culverhouse.index.errors import IndexUnavailable
from culverhouse.index.mailbox import MailboxIndex
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.facts import Fact
from culverhouse.model.flags import DELETED, SEEN, FlagOp
from culverhouse.model.search import (
    And,
    AnyText,
    BodyText,
    DateField,
    DateTest,
    HasFlags,
    HeaderText,
    Larger,
    Not,
    OnDate,
)

from .conftest import Place, nobody, put

MAIL = b"From: a@example.org\nSubject: one\nDate: Mon, 7 Feb 1994 21:52:25 -0800\n\nbody\n"
SUBJECT = frozenset({b"subject"})


def fill(view: View, *uids: int, facts: frozenset[Fact] = frozenset(), fields: frozenset[bytes] = SUBJECT) -> FillFacts:
    mailbox = view.mailbox
    return FillFacts(mailbox.account.spec, mailbox.name, mailbox.id, uids, facts, fields, True, True, os.getpid())


def test_jobs_run_in_another_process_as_well_as_here(account: Account) -> None:
    put(account, "INBOX", MAIL)
    view = account.select("INBOX", False, nobody)
    job = pickle.loads(pickle.dumps(fill(view, 1, facts=frozenset(Fact))))
    code = (
        "import pickle, sys; from culverhouse.account.account import Account; "
        "from culverhouse.index.env import Environments; job = pickle.load(sys.stdin.buffer); "
        "print(job.run(Account(job.spec, None, None, Environments())).written)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(job), capture_output=True, check=True)
    assert done.stdout == b"5\n"
    assert view.facts(Fact.SENT, [1]) == [datetime.date(1994, 2, 7).toordinal().to_bytes(4, "big")]
    assert view.header_blocks(SUBJECT, [1]) == [b"Subject: one\r\n"]
    assert view.sizes([1]) == [len(MAIL) + MAIL.count(b"\n")]


def test_fields_are_cut_from_what_is_kept(account: Account) -> None:
    put(account, "INBOX", MAIL)
    view = account.select("INBOX", False, nobody)
    headers = frozenset({Fact.HEADERS})
    fill(view, 1, facts=headers).run(account)
    assert view.header_blocks(frozenset({b"from"}), [1]) == [None]
    fill(view, 1, facts=headers, fields=frozenset({b"from"})).run(account)
    assert view.header_blocks(frozenset({b"from"}), [1]) == [b"From: a@example.org\r\n"]
    assert view.header_blocks(SUBJECT, [1]) == [b"Subject: one\r\n"]


def test_sizes_and_dates_that_names_do_not_tell(account: Account, place: Place) -> None:
    path = place.deliver(content=MAIL)
    os.utime(path, (1_111_111_111, 1_111_111_111))
    view = account.select("INBOX", False, nobody)
    assert (view.sizes([1]), view.dates([1])) == ([None], [None])
    assert account.status("INBOX").size is None
    fill(view, 1).run(account)
    assert (view.sizes([1]), view.dates([1])) == ([len(MAIL) + MAIL.count(b"\n")], [1_111_111_111])
    assert account.status("INBOX").size == len(MAIL) + MAIL.count(b"\n")
    assert account.unsized("INBOX")[1] == []


@pytest.mark.parametrize("field", ["S=7", "W=7", "S=7,W=9"])
def test_a_size_that_a_name_tells_wrongly_is_put_right(account: Account, place: Place, field: str) -> None:
    (place.folder() / "cur" / f"1700000000.M1P1.elsewhere,{field}:2,S").write_bytes(MAIL)
    view = account.select("INBOX", False, nobody)
    fill(view, 1).run(account)
    true = len(MAIL) + MAIL.count(b"\n")
    assert view.sizes([1]) == [true]
    assert place.files() == [f"1700000000.M1P1.elsewhere,S={len(MAIL)},W={true}:2,S"]
    assert [report.event for report in account.drain_reports()] == ["size-corrected"]
    assert view.updates(True) == []
    message = view.open(1)
    message.close()
    view.sync()
    assert list(view.uids) == [1]


def test_a_message_that_cannot_be_read_is_alone_in_it(account: Account, place: Place) -> None:
    put(account, "INBOX", MAIL, MAIL)
    view = account.select("INBOX", False, nobody)
    name = place.files()[0]
    path = place.folder() / "cur" / name
    path.unlink()
    path.mkdir()
    filled = fill(view, 1, 2, facts=frozenset({Fact.ENVELOPE})).run(account)
    assert filled.unreadable == (1,)
    assert view.facts(Fact.ENVELOPE, [1, 2])[0] is None
    assert view.facts(Fact.ENVELOPE, [1, 2])[1] is not None
    with pytest.raises(MailError) as caught:
        view.open(1)
    assert caught.value.kind is Kind.UNREADABLE
    reports = account.drain_reports()
    assert {report.event for report in reports} == {"message-unreadable"}
    assert reports[0].path.endswith(name)
    assert account.drain_reports() == []
    for key in (AnyText("one"), Not(AnyText("one"))):
        found = search.begin(view, key)
        while job := found.job():
            found.add(job.run(account))
        assert found.uids() == ([2] if key == AnyText("one") else [])
    path.rmdir()


def test_messages_and_mailboxes_that_are_gone(account: Account, place: Place) -> None:
    put(account, "Sent", MAIL, MAIL)
    view = account.select("Sent", False, nobody)
    (place.folder("Sent") / "cur" / place.files("Sent")[0]).unlink()
    job = fill(view, 1, 2, 77, facts=frozenset({Fact.BODY}))
    assert job.run(account).gone == (1, 77)
    found = search.begin(view, AnyText("one")).job()
    assert found is not None
    account.delete("Sent")
    assert job.run(account).gone == (1, 2, 77)
    assert found.run(account) == []
    account.create("Sent")
    assert job.run(account).gone == (1, 2, 77), "another mailbox has the name now"


def test_facts_of_a_message_that_is_expunged_but_viewed(account: Account) -> None:
    put(account, "INBOX", MAIL, MAIL)
    mine = account.select("INBOX", False, nobody)
    other = account.select("INBOX", False, nobody)
    mine.store([1], FlagOp.ADD, DELETED, ())
    mine.expunge()
    mine.updates(True)
    other.updates(False)
    filled = fill(other, 1, 2, facts=frozenset({Fact.ENVELOPE, Fact.HEADERS})).run(account)
    assert filled.loose.keys() == {1}
    other.learn(filled)
    envelopes = other.facts(Fact.ENVELOPE, [1, 2])
    assert envelopes[0] == envelopes[1]
    assert envelopes[0] is not None
    assert other.header_blocks(SUBJECT, [1, 2]) == [b"Subject: one\r\n"] * 2
    assert None not in other.sizes([1, 2]) + other.dates([1, 2])


def test_clients_are_answered_while_the_index_cannot_be_written(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(account, "INBOX", MAIL)
    view = account.select("INBOX", False, nobody)

    def refuse(*_: object) -> None:
        raise IndexUnavailable("no space")

    for name in ("want_headers", "put_facts", "set_sizes", "set_dates"):
        monkeypatch.setattr(MailboxIndex, name, refuse)
    filled = fill(view, 1, facts=frozenset({Fact.HEADERS, Fact.SENT})).run(account)
    assert filled.written == 0
    view.learn(filled)
    assert view.header_blocks(SUBJECT, [1]) == [b"Subject: one\r\n"]
    assert view.facts(Fact.SENT, [1]) != [None]
    key = OnDate(DateField.SENT, DateTest.ON, datetime.date(1994, 2, 7))
    job = replace(search_job(view), key=key)
    assert job.run(account) == [1]


def search_job(view: View) -> SearchMessages:
    mailbox = view.mailbox
    return SearchMessages(mailbox.account.spec, mailbox.name, mailbox.id, tuple(view.uids), AnyText(""), os.getpid())


def test_jobs_work_from_the_store_when_the_index_is_lost(account: Account) -> None:
    put(account, "INBOX", MAIL)
    view = account.select("INBOX", False, nobody)
    job = fill(view, 1, facts=frozenset({Fact.ENVELOPE}))
    shutil.rmtree(account.spec.index)
    assert job.run(account).written == 1


def test_searching_remembers_sent_dates(account: Account) -> None:
    put(account, "INBOX", MAIL, b"Subject: no date\n\n")
    view = account.select("INBOX", False, nobody)
    key = OnDate(DateField.SENT, DateTest.BEFORE, datetime.date(1995, 1, 1))
    assert search.try_search(view, key) is None
    found = search.begin(view, key)
    while job := found.job():
        found.add(job.run(account))
    assert found.uids() == [1]
    assert search.try_search(view, key) == [1]
    assert search.try_search(view, Not(key)) == [2]


def test_a_search_is_about_one_moment(account: Account) -> None:
    put(account, "INBOX", MAIL, MAIL)
    view = account.select("INBOX", False, nobody)
    found = search.begin(view, And((Not(HasFlags(SEEN)), HeaderText("subject", "ONE"))))
    view.store([1], FlagOp.ADD, SEEN, ())
    view.updates(True)
    while job := found.job():
        found.add(job.run(account))
    assert found.uids() == [1, 2]


def test_only_undecided_messages_are_read_in_portions(account: Account) -> None:
    put(account, "INBOX", *[MAIL] * (PORTION + 3))
    view = account.select("INBOX", False, nobody)
    view.store([1, 2], FlagOp.ADD, SEEN, ())
    view.updates(True)
    found = search.begin(view, And((BodyText("body"), Not(HasFlags(SEEN)), Larger(1))))
    jobs = []
    while job := found.job():
        jobs.append(job)
        found.add(list(job.uids))
    assert [len(job.uids) for job in jobs] == [PORTION, 1]
    assert jobs[0].uids[0] == 3
    assert found.uids() == list(range(3, PORTION + 4))


@pytest.mark.parametrize("size", [0, 1, FIRST - 3, FIRST - 2, FIRST - 1, FIRST, 3 * FIRST])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_only_the_header_is_read(account: Account, size: int, end: bytes) -> None:
    header = b"X: " + b"y" * size + end
    put(account, "INBOX", header + end + b"body" + end)
    view = account.select("INBOX", False, nobody)
    message = view.open(1)
    assert read_header(message) == header.replace(end, b"\r\n") + b"\r\n"
    message.close()


@pytest.mark.parametrize(
    ("text", "header"),
    [
        (b"", b""),
        (b"X: y", b"X: y"),
        (b"X: y\r", b"X: y\r"),
        (b"X: y\n", b"X: y\r\n"),
        (b"\r\n", b"\r\n"),
        (b"\nbody\n", b"\r\n"),
    ],
)
def test_headers_without_an_end(account: Account, text: bytes, header: bytes) -> None:
    put(account, "INBOX", text)
    message = account.mailbox("INBOX").open(1)
    assert read_header(message) == header
    message.close()
