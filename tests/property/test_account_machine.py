"""Two workers, other programs and the loss of the index, against a dict.

The truth is what lies in the Maildir. Whatever happens, and in whatever order: every session's client, which knows
only what it was told, ends with exactly the messages and flags that are there; a UID never names two messages; a
message that nobody was told is gone keeps its UID; expunged messages stay readable for whoever still has them in view.
"""

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from inotify_simple import INotify, flags

from culverhouse.account.account import Account
from culverhouse.account.results import NewMessage
from culverhouse.account.updates import Exists, Expunge, FlagsChanged, KeywordsChanged
from culverhouse.account.view import View
from culverhouse.index.env import Environments
from culverhouse.model.account import AccountSpec
from culverhouse.model.errors import Kind, MailError
from culverhouse.model.flags import ANSWERED, DELETED, FLAGGED, SEEN, FlagOp, flag_names

BOXES = ("INBOX", "Other")
LETTERS = {SEEN: "S", FLAGGED: "F", ANSWERED: "R", DELETED: "T"}
MASKS = st.sets(st.sampled_from(sorted(LETTERS)), max_size=3).map(sum)
KEYWORDS = st.sampled_from([(), ("Work",), ("$Junk", "Work")])
PLACE = st.integers(0, 30)


class Watcher:
    """The kernel's notices, held back until the machine lets them through."""

    def __init__(self) -> None:
        self.inotify = INotify(nonblocking=True)
        self.watches: dict[int, tuple[bytes, Callable[[frozenset[bytes] | None], None]]] = {}

    def watch(self, paths: Sequence[str], changed: Callable[[frozenset[bytes] | None], None]) -> "Watch":
        numbers = []
        for path in paths:
            mask = flags.CREATE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CLOSE_WRITE
            number = self.inotify.add_watch(path, mask)
            self.watches[number] = (b"new/" if path.endswith("/new") else b"", changed)
            numbers.append(number)
        return Watch(self, numbers)

    def pump(self, lose: bool) -> None:
        told: dict[Callable[[frozenset[bytes] | None], None], set[bytes]] = {}
        for number, _, _, name in self.inotify.read(timeout=0):
            if number in self.watches:
                prefix, changed = self.watches[number]
                told.setdefault(changed, set()).add(prefix + os.fsencode(name))
        for changed, names in told.items():
            changed(None if lose else frozenset(names))


class Watch:
    """One set of directories."""

    def __init__(self, watcher: Watcher, numbers: Sequence[int]) -> None:
        self.watcher, self.numbers = watcher, numbers

    def close(self) -> None:
        for number in self.numbers:
            if self.watcher.watches.pop(number, None) is not None:
                self.watcher.inotify.rm_watch(number)


class Session:
    """A client that knows what it was told, and nothing else."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.uids = list(view.uids)
        self.flags = {uid: view.flags_of(uid) for uid in self.uids}
        self.keywords = view.keywords
        self.highest = self.uids[-1] if self.uids else 0

    def poll(self, expunges: bool) -> None:
        view = self.view
        while updates := view.updates(expunges):
            for update in updates:
                if isinstance(update, KeywordsChanged):
                    assert update.names[: len(self.keywords)] == self.keywords
                    self.keywords = update.names
                elif isinstance(update, FlagsChanged):
                    assert self.uids[update.seq - 1] == update.uid
                    self.flags[update.uid] = update.flags
                elif isinstance(update, Expunge):
                    assert expunges
                    assert self.uids.pop(update.seq - 1) == update.uid
                    del self.flags[update.uid]
                elif isinstance(update, Exists):
                    fresh = view.uids[len(self.uids) :]
                    assert len(self.uids) + len(fresh) == update.count
                    assert all(uid > self.highest for uid in fresh)
                    self.uids += fresh
                    self.highest = max([self.highest, *fresh])
                    self.flags.update({uid: view.flags_of(uid) for uid in fresh})
            assert list(view.uids) == self.uids

    def names(self, uid: int) -> frozenset[str]:
        return frozenset(flag_names(self.flags[uid] or 0, self.keywords))


class AccountMachine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="culverhouse-machine-"))
        self.serial = 0
        self.uids: dict[str, dict[int, bytes]] = {box: {} for box in BOXES}
        """Every UID ever seen, with its message's content."""
        self.sessions: list[Session | None] = []

    @initialize(watched=st.booleans())
    def begin(self, watched: bool) -> None:
        spec = AccountSpec(
            "user", f"maildir:{self.root}/Maildir", "maildir++", "/", "", f"{self.root}/index/user"
        )  # fmt: skip
        environments = Environments()
        self.environments = environments
        self.watchers = [Watcher(), Watcher()]
        self.accounts = [
            Account(spec, watcher if watched else None, None, environments) for watcher in self.watchers
        ]
        # Two processes in one: the first answers for this one, the second for its parent, which lives as long.
        self.accounts[1].viewers.pid = os.getppid()
        self.accounts[0].prepare()
        self.accounts[0].create("Other")
        self.sessions = [None, None, None]

    def teardown(self) -> None:
        if self.sessions:
            for number in range(len(self.sessions)):
                self.settle(number)
            for account in self.accounts:
                account.release()
            for watcher in self.watchers:
                watcher.inotify.close()
            self.environments.close()
        shutil.rmtree(self.root)

    # ── helpers ──

    def folder(self, box: str) -> Path:
        return self.root / "Maildir" / ("" if box == "INBOX" else ".Other")

    def files(self, box: str) -> list[tuple[bytes, str, Path]]:
        """(content, flag letters, file) of what is there now; copies of one message have one content."""
        folder = self.folder(box)
        paths = [path for part in ("new", "cur") for path in (folder / part).iterdir()]
        return sorted((path.read_bytes(), path.name.partition(":2,")[2], path) for path in paths)

    def pick(self, box: str, place: int) -> Path | None:
        files = self.files(box)
        return files[place % len(files)][2] if files else None

    def content(self) -> bytes:
        self.serial += 1
        return b"Subject: %d\n\nmessage %d\n" % (self.serial, self.serial)

    def session(self, number: int) -> Session:
        session = self.sessions[number]
        if session is None:
            account = self.accounts[number % 2]
            view = account.select("INBOX" if number < 2 else "Other", False, lambda: None)
            session = self.sessions[number] = Session(view)
        return session

    def box(self, number: int) -> str:
        return "INBOX" if number < 2 else "Other"

    def settle(self, number: int) -> None:
        """Sync and tell everything; then the client must know exactly what is there."""
        session = self.session(number)
        for watcher in self.watchers:
            watcher.pump(False)
        if session.view.stale:
            session.view.sync()
        session.poll(True)
        seen = []
        for uid in session.uids:
            message = session.view.open(uid)
            content = message.file.read()
            message.close()
            known = self.uids[self.box(number)].setdefault(uid, content)
            assert known == content, f"UID {uid} names two messages"
            seen.append((content, session.names(uid)))
        words = session.view.mailbox.folder.keywords()
        files = self.files(self.box(number))
        there = [(content, self.names(letters, words)) for content, letters, _ in files]
        assert Counter(seen) == Counter(there)
        head = session.view.mailbox.index.head()
        assert head is not None
        assert head.messages == len(files)
        assert head.unseen == sum("S" not in letters for _, letters, _ in files)

    @staticmethod
    def names(letters: str, words: Sequence[str]) -> frozenset[str]:
        system = flag_names(sum(mask for mask, letter in LETTERS.items() if letter in letters), ())
        return frozenset([*system, *(words[ord(letter) - 97] for letter in letters if letter.islower())])

    # ── what our sessions do ──

    @rule(number=st.integers(0, 2), flags=MASKS, keywords=KEYWORDS, count=st.integers(1, 3))
    def append(self, number: int, flags: int, keywords: tuple[str, ...], count: int) -> None:
        account, box = self.accounts[number % 2], self.box(number)
        contents = [self.content() for _ in range(count)]
        messages = []
        for content in contents:
            spool = account.spool(box)
            spool.write(content)
            spool.finish()
            messages.append(NewMessage(spool, flags, keywords))
        done = account.append(box, messages)
        for uid, content in zip(done.uids, contents, strict=True):
            assert self.uids[box].setdefault(uid, content) == content

    @rule(number=st.integers(0, 2), place=PLACE, op=st.sampled_from(FlagOp), flags=MASKS, keywords=KEYWORDS)
    def store(self, number: int, place: int, op: FlagOp, flags: int, keywords: tuple[str, ...]) -> None:
        session = self.session(number)
        if not session.uids:
            return
        uids = sorted({session.uids[place % len(session.uids)], session.uids[-1]})
        result = session.view.store(uids, op, flags, keywords)
        assert not result.gone
        assert [uid for uid, _, _ in result.changed] == uids
        session.poll(False)
        for uid, now, modseq in result.changed:
            if uid in session.flags:
                session.flags[uid] = now
                session.view.told(uid, now, modseq)

    @rule(number=st.integers(0, 2))
    def expunge(self, number: int) -> None:
        session = self.session(number)
        done = session.view.expunge()
        session.poll(True)
        assert not set(done.uids) & set(session.uids)

    @rule(number=st.integers(0, 2), place=PLACE, move=st.booleans())
    def transfer(self, number: int, place: int, move: bool) -> None:
        session = self.session(number)
        if not session.uids:
            return
        uids = sorted({session.uids[place % len(session.uids)], session.uids[-1]})
        target = BOXES[number < 2]
        try:
            done = session.view.move(uids, target) if move else session.view.copy(uids, target)
        except MailError as error:
            if error.kind is not Kind.EXPUNGED:
                raise
            return
        assert all(uid not in self.uids[target] for _, uid in done.pairs)

    @rule(number=st.integers(0, 2))
    def look(self, number: int) -> None:
        session = self.session(number)
        if session.view.stale:
            session.view.sync()
        session.poll(False)

    @rule(number=st.integers(0, 2))
    def compare(self, number: int) -> None:
        self.settle(number)

    @rule(number=st.integers(0, 2))
    def leave(self, number: int) -> None:
        session = self.sessions[number]
        if session is not None:
            session.view.close()
            self.sessions[number] = None

    @rule(number=st.integers(0, 2))
    def read_ghosts(self, number: int) -> None:
        """What another of our sessions expunged stays readable; what another program unlinked is just gone."""
        session = self.session(number)
        for uid in session.view.ghosts():
            try:
                message = session.view.open(uid)
            except MailError as error:
                if error.kind is not Kind.EXPUNGED:
                    raise
                continue
            content = message.file.read()
            message.close()
            assert self.uids[self.box(number)].setdefault(uid, content) == content

    @rule(worker=st.integers(0, 1))
    def upkeep(self, worker: int) -> None:
        call = self.accounts[worker].upkeep()
        if call is not None:
            call()

    @rule(number=st.integers(0, 2))
    def rest(self, number: int) -> None:
        self.session(number).view.mailbox.rest()

    # ── what others do ──

    @rule(box=st.sampled_from(BOXES), new=st.booleans(), flags=MASKS)
    def deliver(self, box: str, new: bool, flags: int) -> None:
        content = self.content()
        name = f"{int(time.time())}.M{self.serial:06}X.elsewhere"
        letters = "".join(sorted(letter for mask, letter in LETTERS.items() if flags & mask))
        target = self.folder(box) / ("new" if new else "cur") / (name if new else f"{name}:2,{letters}")
        (self.folder(box) / "tmp" / name).write_bytes(content)
        (self.folder(box) / "tmp" / name).rename(target)

    @rule(box=st.sampled_from(BOXES), place=PLACE, flags=MASKS)
    def flag_outside(self, box: str, place: int, flags: int) -> None:
        path = self.pick(box, place)
        if path is not None:
            letters = "".join(sorted(letter for mask, letter in LETTERS.items() if flags & mask))
            words = "".join(letter for letter in path.name.partition(":2,")[2] if letter.islower())
            path.rename(self.folder(box) / "cur" / f"{path.name.partition(':')[0]}:2,{letters}{words}")

    @rule(box=st.sampled_from(BOXES), place=PLACE)
    def unlink_outside(self, box: str, place: int) -> None:
        path = self.pick(box, place)
        if path is not None:
            path.unlink()

    @rule()
    def wipe(self) -> None:
        shutil.rmtree(self.root / "index" / "user", ignore_errors=True)

    @rule(worker=st.integers(0, 1), lose=st.booleans())
    def events(self, worker: int, lose: bool) -> None:
        self.watchers[worker].pump(lose)

    @rule(box=st.sampled_from(BOXES))
    def age(self, box: str) -> None:
        """As if nothing had been changed for some time: fingerprints settle."""
        for part in ("new", "cur"):
            path = self.folder(box) / part
            state = path.stat()
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns - 5_000_000_000))

    @invariant()
    def clients_and_views_agree(self) -> None:
        for session in self.sessions:
            if session is not None:
                assert list(session.view.uids) == session.uids
                assert not session.view.gone


TestAccountMachine = AccountMachine.TestCase
TestAccountMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
