"""A search finds what a naive look at every message finds, whatever the index knew before."""

import datetime
import email
import email.policy
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from culverhouse.account import search
from culverhouse.account.account import Account
from culverhouse.account.jobs import FillFacts
from culverhouse.account.results import NewMessage
from culverhouse.account.view import View
from culverhouse.index.env import Environments
from culverhouse.model.account import AccountSpec
from culverhouse.model.facts import Fact
from culverhouse.model.flags import ANSWERED, DELETED, FLAGGED, SEEN, FlagOp
from culverhouse.model.search import (
    All,
    And,
    AnyText,
    BodyText,
    DateField,
    DateTest,
    HasFlags,
    HasKeyword,
    HeaderText,
    InUids,
    Larger,
    ModseqFrom,
    Not,
    OnDate,
    Or,
    SearchKey,
    Smaller,
)
from culverhouse.model.uids import UidSet

FIELDS = ("subject", "from", "x-missing")
WORDS = ("alpha", "Beta", "GAMMA", "größe", "GRÖSSE", "", "example", "zzz")
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=number) for number in range(4)]
TOTAL = 24


class Message:
    """What the naive evaluation knows of a message."""

    def __init__(self, uid: int) -> None:
        self.uid = uid
        self.subject = f"{WORDS[uid % 3]} {WORDS[3 + uid % 2]} {uid}"
        self.sender = f"{WORDS[(uid + 1) % 3]}@example.org"
        self.body = f"{WORDS[uid % 4]} in the body, {WORDS[(uid // 2) % 5]}\r\nline two\r\n" + "x" * (uid * 3)
        self.sent = DAYS[uid % 4] if uid % 5 else None
        self.internal = DAYS[(uid * 7) % 4]
        self.flags = uid % 16
        self.keywords = ("work",) if uid % 3 == 0 else ()
        made = email.message.EmailMessage(email.policy.SMTP.clone(cte_type="7bit"))
        made["Subject"] = self.subject
        made["From"] = self.sender
        if self.sent is not None:
            made["Date"] = f"{self.sent.strftime('%d %b %Y')} 23:59:00 -1100"
        made.set_content(self.body, charset="iso-8859-1" if uid % 2 else "utf-8", cte="base64" if uid % 3 else None)
        data = made.as_bytes()
        self.data = data.replace(b"\r\n", b"\n") if uid % 4 == 0 else data
        self.size = len(data)
        self.header = data.partition(b"\r\n\r\n")[0].decode("ascii")


class World:
    """A mailbox that is filled once; every example only reads it."""

    def __init__(self, root: Path) -> None:
        spec = AccountSpec("user", f"maildir:{root}/Maildir", "maildir++", "/", "", f"{root}/index")
        self.environments = Environments()
        self.account = Account(spec, None, None, self.environments)
        self.account.prepare()
        self.messages = [Message(uid) for uid in range(1, TOTAL + 1)]
        for message in self.messages:
            spool = self.account.spool("INBOX")
            spool.write(message.data)
            spool.finish()
            midnight = (message.internal.toordinal() - datetime.date(1970, 1, 1).toordinal()) * 86400
            when = midnight + (0 if message.uid % 2 else 86399)
            self.account.append("INBOX", [NewMessage(spool, message.flags, message.keywords, when)])
        self.view = self.account.select("INBOX", False, lambda: None)
        # The last message is gone for everybody but this view, and has other flags here than it had in the store.
        other = self.account.select("INBOX", False, lambda: None)
        other.store([TOTAL], FlagOp.ADD, DELETED, ())
        other.expunge([TOTAL])
        other.close()
        self.view.updates(False)
        assert self.view.ghosts() == {TOTAL}
        self.view.told(TOTAL, FLAGGED, 1)
        self.messages[-1].flags, self.messages[-1].keywords = FLAGGED, ()

    def fill(self) -> None:
        """Have the index know all that a search can ask it for."""
        facts, fields = frozenset({Fact.HEADERS, Fact.SENT}), frozenset({b"subject", b"from"})
        spec, mailbox_id, uids = self.account.spec, self.view.mailbox.id, tuple(self.view.uids)
        self.view.learn(
            FillFacts(spec, "INBOX", mailbox_id, uids, facts, fields, True, True, os.getpid()).run(self.account)
        )


@pytest.fixture(scope="module", params=[False, True], ids=["cold", "filled"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as root:
        made = World(Path(root))
        if request.param:
            made.fill()
        yield made
        made.view.close()
        made.account.release()
        made.environments.close()


LEAVES: st.SearchStrategy[SearchKey] = st.one_of(
    st.just(All()),
    st.builds(InUids, st.sets(st.integers(1, TOTAL + 3)).map(UidSet.of)),
    st.builds(HasFlags, st.sampled_from([SEEN, ANSWERED, FLAGGED, DELETED])),
    st.builds(HasKeyword, st.sampled_from(["WORK", "work", "other"])),
    st.builds(HeaderText, st.sampled_from(FIELDS), st.sampled_from(WORDS)),
    st.builds(BodyText, st.sampled_from(WORDS)),
    st.builds(AnyText, st.sampled_from(WORDS)),
    st.builds(OnDate, st.sampled_from(DateField), st.sampled_from(DateTest), st.sampled_from(DAYS)),
    st.builds(Larger, st.integers(150, 400)),
    st.builds(Smaller, st.integers(150, 400)),
    st.builds(ModseqFrom, st.sampled_from([1, 2, 1 << 62])),
)
KEYS = st.recursive(
    LEAVES,
    lambda keys: st.one_of(
        st.builds(Not, keys),
        st.builds(And, st.lists(keys, max_size=3).map(tuple)),
        st.builds(Or, st.lists(keys, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def same(needle: str, text: str) -> bool:
    """Simple case mapping, character by character: ß stays ß (RFC 5051)."""
    one, other = ("".join(c.upper() if len(c.upper()) == 1 else c for c in word) for word in (needle, text))
    return one in other


def fits(message: Message, key: SearchKey, modseq: int) -> bool:
    """The naive evaluation."""
    match key:
        case All():
            return True
        case InUids(uids):
            return message.uid in set(uids)
        case HasFlags(mask):
            return message.flags & mask == mask
        case HasKeyword(name):
            return name.lower() in message.keywords
        case HeaderText(field, text):
            values = {"subject": message.subject, "from": message.sender}
            return field in values and same(text, values[field])
        case BodyText(text):
            return same(text, message.body)
        case AnyText(text):
            texts = [message.subject, message.sender, message.header, message.body]
            return any(same(text, one) for one in texts)
        case OnDate(field, test, day):
            date = message.internal if field is DateField.INTERNAL else message.sent
            if date is None:
                return False
            return {DateTest.BEFORE: date < day, DateTest.ON: date == day, DateTest.SINCE: date >= day}[test]
        case Larger(octets):
            return message.size > octets
        case Smaller(octets):
            return message.size < octets
        case ModseqFrom(least):
            return modseq >= least
        case Not(one):
            return not fits(message, one, modseq)
        case And(keys):
            return all(fits(message, one, modseq) for one in keys)
        case Or(keys):
            return any(fits(message, one, modseq) for one in keys)


def run(view: View, key: SearchKey) -> list[int]:
    found = search.begin(view, key)
    while job := found.job():
        assert not any(isinstance(leaf, HasFlags | HasKeyword | ModseqFrom) for leaf in leaves(job.key))
        found.add(job.run(view.mailbox.account))
    return found.uids()


def leaves(key: SearchKey) -> Iterator[SearchKey]:
    if isinstance(key, And | Or):
        for one in key.keys:
            yield from leaves(one)
    elif isinstance(key, Not):
        yield from leaves(key.key)
    else:
        yield key


@settings(max_examples=150, deadline=None)
@given(key=KEYS)
def test_search_finds_what_a_naive_look_finds(world: World, key: SearchKey) -> None:
    view = world.view
    expected = [one.uid for one in world.messages if fits(one, key, view.modseq_of(one.uid) or 0)]
    assert run(view, key) == expected
    known = search.try_search(view, key)
    assert known is None or known == expected
