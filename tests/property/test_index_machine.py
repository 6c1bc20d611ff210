"""The index against a dict: whatever is merged, expunged, claimed, wiped or lost, it says what the dict says.

Several `MailboxIndex` objects take turns, as several processes would, each with what it remembers of earlier reads.
"""

import contextlib
import shutil
import tempfile
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from culverhouse.index.account import AccountIndex
from culverhouse.index.env import Environments
from culverhouse.index.errors import CeilingNeeded, NotIndexed
from culverhouse.index.records import Added, Changed, Merge
from culverhouse.index.verify import examine
from culverhouse.model.facts import Fact
from culverhouse.model.flags import DELETED, SEEN
from culverhouse.model.store import FolderHeader
from culverhouse.model.uids import UidSet

UIDS = st.integers(1, 1500)
MASKS = st.sampled_from([0, SEEN, DELETED, SEEN | DELETED, 1 << 8, 1 << 63])
SEEDS = st.integers(0, 3)


def locator(uid, flags, seed=0):
    return b"%d.host%d:2,%x" % (uid, seed, flags)


@dataclass
class Message:
    locator: bytes
    flags: int
    modseq: int
    vsize: int | None
    facts: dict = field(default_factory=dict)


class IndexMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = tempfile.mkdtemp(prefix="culverhouse-index-")
        self.path = f"{self.root}/user"
        self.environments = Environments(map_size=1 << 28)
        self.now = 10**15
        self.account = AccountIndex(self.path, self.environments, lambda: self.now)
        self.boxes = [self.account.mailbox("g" * 32) for _ in range(2)]
        self.snapshots = [None, None]
        self.turn = 0
        self.model: dict[int, Message] | None = None
        self.gone: dict[int, int] = {}
        self.last_modseq = 0
        self.given: set[int] = set()
        self.claimed: set[int] = set()
        self.first_recent = 1
        self.recent: set[int] = set()
        self.ceiling = 0

    def teardown(self):
        self.environments.close()
        assert examine(self.path).sound
        shutil.rmtree(self.root)

    @property
    def box(self):
        self.turn += 1
        return self.boxes[self.turn % 2]

    def merge(self, **changes):
        try:
            return self.box.merge(Merge(**changes))
        except CeilingNeeded as needed:
            self.ceiling = max(needed.modseq, self.ceiling + 1) + 10
            return self.box.merge(Merge(**changes, ceiling=self.ceiling))

    def changed(self, modseq):
        """A modseq was given out: higher than all before, and never twice, whatever was lost."""
        assert modseq is not None
        assert modseq > self.last_modseq
        assert modseq not in self.given
        self.given.add(modseq)
        self.last_modseq = modseq

    @initialize()
    def begin(self):
        self.make()

    @precondition(lambda self: self.model is None)
    @rule()
    def make(self):
        self.box.create(FolderHeader(3, 1, "g" * 32), self.ceiling)
        self.model, self.gone, self.recent, self.claimed = {}, {}, set(), set()
        self.first_recent = 1
        self.last_modseq = max(self.ceiling, 1)

    @precondition(lambda self: self.model is not None)
    @rule(uids=st.lists(UIDS, max_size=20), flags=MASKS, seed=SEEDS, recent=st.booleans(), vsize=st.none() | st.just(7))
    def add(self, uids, flags, seed, recent, vsize):
        self.add_all(set(uids), flags, seed, recent, vsize)

    @precondition(lambda self: self.model is not None)
    @rule(start=UIDS, count=st.integers(1, 600), step=st.integers(1, 3), flags=MASKS)
    def add_many(self, start, count, step, flags):
        self.add_all(set(range(start, start + count * step, step)), flags, 0, False, 5)

    def add_all(self, uids, flags, seed, recent, vsize):
        added = [Added(uid, locator(uid, flags, seed), flags, recent, vsize, vsize) for uid in uids]
        merged = self.merge(added=added)
        new = sorted(uids - self.model.keys())
        flagged = sorted(uid for uid in uids & self.model.keys() if self.model[uid].flags != flags)
        assert merged.added == new
        assert [uid for uid, _, _ in merged.changed] == flagged
        if new or flagged:
            self.changed(merged.modseq)
        else:
            assert merged.modseq is None
        for uid in sorted(uids):
            message = self.model.setdefault(uid, Message(b"", flags, 0, None))
            message.locator = locator(uid, flags, seed)
            message.flags = flags
            message.vsize = vsize if vsize is not None else message.vsize
            if uid in new or uid in flagged:
                message.modseq = merged.modseq
            if uid in new:
                self.gone.pop(uid, None)
                if uid >= self.first_recent:
                    if recent or self.recent:
                        self.recent.add(uid)
                    else:
                        self.first_recent = uid + 1

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data(), flags=MASKS, seed=SEEDS, stale=st.booleans(), guarded=st.booleans())
    def flag(self, data, flags, seed, stale, guarded):
        uids = data.draw(st.lists(st.sampled_from(sorted(self.model)) if self.model else UIDS, max_size=8, unique=True))
        expected = {}
        for uid in uids:
            known = self.model.get(uid)
            expected[uid] = (b"stale" if stale else known.locator if known else b"?") if guarded else None
        merged = self.merge(changed=[Changed(uid, locator(uid, flags, seed), flags, expected[uid]) for uid in uids])
        skipped = sorted(uid for uid in uids if uid not in self.model or (guarded and stale))
        assert merged.skipped == skipped
        changed = sorted(uid for uid in uids if uid not in skipped and self.model[uid].flags != flags)
        assert merged.changed == [(uid, flags, merged.modseq) for uid in changed]
        if changed:
            self.changed(merged.modseq)
        for uid in set(uids) - set(skipped):
            self.model[uid].locator = locator(uid, flags, seed)
            if uid in changed:
                self.model[uid].flags = flags
                self.model[uid].modseq = merged.modseq

    @precondition(lambda self: self.model is not None)
    @rule(low=UIDS, span=st.integers(0, 700), step=st.integers(1, 5))
    def vanish(self, low, span, step):
        uids = range(low, low + span, step)
        merged = self.merge(vanished=list(uids))
        gone = sorted(set(uids) & self.model.keys())
        assert merged.vanished == gone
        if gone:
            self.changed(merged.modseq)
        for uid in gone:
            del self.model[uid]
            self.recent.discard(uid)
            self.gone[uid] = merged.modseq

    @precondition(lambda self: self.model is not None)
    @rule()
    def claim(self):
        low, high = self.box.claim_recent()
        claimed = {uid for uid in self.model if low <= uid < high}
        assert claimed == self.recent
        assert not claimed & self.claimed
        self.claimed |= claimed
        if self.recent:
            self.first_recent = max(self.model) + 1
        self.recent = set()

    @precondition(lambda self: self.model)
    @rule(data=st.data(), vsize=st.integers(0, 2**40))
    def size(self, data, vsize):
        uid = data.draw(st.sampled_from(sorted(self.model)))
        self.box.set_sizes({uid: (1, vsize), 99999: (1, 1)})
        self.model[uid].vsize = vsize

    @precondition(lambda self: self.model)
    @rule(data=st.data(), fact=st.sampled_from([Fact.ENVELOPE, Fact.SENT]), length=st.sampled_from([0, 3, 40000]))
    def fill(self, data, fact, length):
        low = data.draw(st.sampled_from(sorted(self.model)))
        uids = range(low, low + 40)
        rows = [(uid, fact, b"%d" % uid * length) for uid in uids]
        assert self.box.put_facts(rows) == len([uid for uid in uids if uid in self.model])
        for uid in uids:
            if uid in self.model:
                self.model[uid].facts[fact] = b"%d" % uid * length

    @rule(step=st.integers(-(10**6), 10**6))
    def time_passes(self, step):
        self.now += step

    @rule()
    def close(self):
        self.account.close()

    @precondition(lambda self: self.model is not None)
    @rule(how=st.sampled_from(["delete", "remove", "rename"]))
    def lose(self, how):
        if how == "delete":
            shutil.rmtree(self.path)
        elif how == "remove":
            self.account.remove("g" * 32)
        else:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(f"{self.root}/away")
            shutil.move(self.path, f"{self.root}/away")
        self.model = None
        for box in self.boxes:
            assert box.head() is None

    @invariant()
    def tells_what_the_model_tells(self):
        box = self.box
        if self.model is None:
            assert box.snapshot() is None
            return
        messages = sorted(self.model.items())
        uids = [uid for uid, _ in messages]
        head = box.head()
        sizes = [message.vsize for _, message in messages]
        assert (head.messages, head.unseen, head.deleted, head.recent) == (
            len(messages),
            sum(not message.flags & SEEN for _, message in messages),
            sum(bool(message.flags & DELETED) for _, message in messages),
            len(self.recent),
        )
        assert (head.size, head.size_unknown) == (sum(size or 0 for size in sizes), sizes.count(None))
        assert head.highestmodseq == self.last_modseq
        snapshot = box.snapshot(self.snapshots[self.turn % 2])
        self.snapshots[self.turn % 2] = snapshot
        assert list(snapshot.rows()) == [(uid, message.flags, message.modseq) for uid, message in messages]
        assert list(snapshot.uids) == uids
        assert all(0 < len(chunk) <= 256 for chunk in snapshot.chunks)
        assert box.sizes(uids) == sizes
        assert box.locators() == {message.locator: uid for uid, message in messages}
        for fact in (Fact.ENVELOPE, Fact.SENT):
            assert box.facts(fact, uids) == [message.facts.get(fact) for _, message in messages]
        vanished = box.vanished_since(head.vanished_floor)
        assert vanished is not None
        assert set(self.gone) <= set(vanished)

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data())
    def history(self, data):
        """CONDSTORE and QRESYNC: from any modseq, nothing that changed since is missed."""
        modseq = data.draw(
            st.sampled_from([self.last_modseq, *(m.modseq for m in self.model.values()), *self.gone.values()])
        )
        changed = [(uid, m.flags, m.modseq) for uid, m in sorted(self.model.items()) if m.modseq > modseq]
        assert self.box.changed_since(modseq) == changed
        vanished = self.box.vanished_since(modseq)
        if modseq >= self.box.head().vanished_floor:
            assert {uid for uid, when in self.gone.items() if when > modseq} <= set(vanished)
        else:
            assert vanished is None
        with contextlib.suppress(NotIndexed):
            assert self.account.mailbox("none").vanished_since(modseq, UidSet([(1, 5)])) is None


TestIndex = IndexMachine.TestCase
TestIndex.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
