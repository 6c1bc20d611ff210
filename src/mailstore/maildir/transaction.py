"""A folder with its lock held: UIDs given out, messages delivered, copied and moved in.

Rules that keep it right:
1. What becomes visible is complete on the disk before; its UID's line is in the uidlist, synced, before; the lock is
   held from before the line until the names are on the disk (a Dovecot would drop a line whose file isn't there yet).
2. Several files together, and originals that go after a copy, are announced by an intent (see intent.py).
3. A failure undoes what was done; UIDs whose lines were written are used up.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...model.errors import Kind, MailError
from ...model.flags import MAX_KEYWORD_LENGTH, SYSTEM
from ...model.store import Arrival, Folder, FolderHeader, Stored
from .. import durable
from ..locking import Gate
from ..spool import FileSpool, copy_file
from . import ceiling, keywords, names, scan, side_file
from .coming import TRIES, Coming, linked, measure, spread, target_for
from .intent import Step, place_of
from .names import NEW
from .recovery import found_at
from .uidlist_text import Row

if TYPE_CHECKING:
    from .folder import MaildirFolder

_EXTRA = ~(SYSTEM | names.LETTER_MASK)
_TOUCH_EVERY = 64


class Transaction:
    """See model.store.FolderTransaction."""

    def __init__(self, folder: "MaildirFolder", gate: Gate) -> None:
        self._folder = folder
        self._gate = gate

    @property
    def header(self) -> FolderHeader:
        """As the uidlist has it now."""
        return self._folder.uidlist.header

    # -- UIDs --

    def assign(self, locators: Sequence[bytes], retired: Callable[[int], bool] | None = None) -> dict[bytes, int]:
        """See the port."""
        uidlist = self._folder.uidlist
        with self._folder.answered():
            self._alive()
            uids = uidlist.find(locators)
            if retired is not None:
                old = {names.base_of(name) for name, uid in uids.items() if retired(uid)}
                if old:
                    uidlist.rewrite(lambda row: None if row[2] in old else row)
                    uids = {name: uid for name, uid in uids.items() if names.base_of(name) not in old}
            new: dict[bytes, bytes] = {}
            for name in sorted((name for name in locators if name not in uids), key=names.delivery_order):
                new.setdefault(names.base_of(name), name)
            given = dict(zip(new, uidlist.append([name.removeprefix(NEW) for name in new.values()]), strict=True))
            uids.update((name, given[names.base_of(name)]) for name in locators if name not in uids)
            self._compact()
        return uids

    def _compact(self) -> None:
        """Drop records of messages that are gone, when they are many."""
        folder = self._folder
        if folder.messages is None or folder.uidlist.count <= folder.messages * 4 // 3 + 64:
            return
        listing = scan.Listing(folder.directory)
        if listing.stable:
            present = listing.bases
            folder.uidlist.rewrite(lambda row: row if row[2] in present else None)

    def uid_map(self) -> dict[bytes, int]:
        """See the port."""
        with self._folder.answered():
            return self._folder.uidlist.uid_map()

    def renamed(self, locator: bytes) -> None:
        """Put a message's present name into its record."""
        name = locator.removeprefix(NEW).partition(b":")[0]
        base = names.base_of(name)

        def change(row: Row) -> Row:
            return (row[0], row[1], base, name[len(base) :]) if row[2] == base else row

        with self._folder.answered():
            self._alive()
            self._folder.uidlist.rewrite(change)

    def keyword_numbers(self, words: Sequence[str]) -> list[int | None]:
        """See the port."""
        folder = self._folder
        with folder.answered():
            self._alive()
            side = folder.side_file.load()
            letters, more = list(folder.keyword_file.names()), list(side.names)
            before = (list(letters), list(more))
            numbers = [_place(word, letters, more) for word in words]
            if letters != before[0]:
                folder.keyword_file.write(letters)
            if more != before[1]:
                folder.side_file.write(replace(side, names=tuple(more)))
        return numbers

    def reserve_modseq(self, above: int) -> None:
        """See the port."""
        with self._folder.answered():
            self._alive()
            ceiling.write(self._folder.directory, self._folder.root.file_mode, above, self.header)

    # -- messages --

    def add(self, arrivals: Sequence[Arrival]) -> list[Stored]:
        """See the port. The spools are used up, whatever happens."""
        coming: list[Coming] = []
        spools = [_own(arrival.spool) for arrival in arrivals]
        try:
            with self._folder.answered():
                for arrival, spool in zip(arrivals, spools, strict=True):
                    coming.append(self._arriving(arrival, spool))
                return [stored for stored in self._publish(coming) if stored is not None]
        finally:
            for spool in spools:
                spool.discard()

    def _arriving(self, arrival: Arrival, spool: FileSpool) -> Coming:
        if not spool.finished or os.path.dirname(spool.path) != self._folder.directory + b"/tmp":
            raise ValueError("not a finished spool of this folder")
        when = arrival.internaldate
        if when is None:
            when = int(time.time())
        else:
            # Durable with the uidlist's sync, as far as times are: file systems with a journal commit in order.
            os.utime(spool.path, (when, when))
        one = self._coming(spool.path, arrival.flags, spool.size, spool.vsize, when)
        one.spool = spool
        return one

    def _coming(
        self, path: bytes, flags: int, size: int, vsize: int, when: int, original: tuple[bytes, bytes] | None = None
    ) -> Coming:
        """A file in our tmp/ that is to become a message."""
        step = Step(self._folder.relative, b"tmp/" + os.path.basename(path), target_for(flags, size, vsize), original)
        return Coming(step, flags, size, vsize, when, path)

    def copy_from(self, source: Folder, messages: Sequence[tuple[bytes, int]]) -> list[Stored | None]:
        """See the port."""
        source = self._own_kind(source)
        with self._folder.answered():
            coming = self._copied(source, messages, remove=False)
            return spread(coming, self._publish([one for one in coming if one is not None]))

    def move_from(self, source: Folder, messages: Sequence[tuple[bytes, int]]) -> list[Stored | None]:
        """See the port."""
        source = self._own_kind(source)
        with self._folder.answered():
            device = os.stat(self._folder.directory + b"/cur").st_dev
            coming = [self._leaving(source, locator, flags) for locator, flags in messages]
            near = all(os.stat(source.directory + part).st_dev == device for part in (b"/cur", b"/new"))
            try:
                if near:
                    return spread(coming, self._publish([one for one in coming if one is not None]))
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
            coming = self._copied(source, messages, remove=True)
            return spread(coming, self._publish([one for one in coming if one is not None]))

    def _own_kind(self, folder: Folder) -> "MaildirFolder":
        if not isinstance(folder, type(self._folder)):
            raise TypeError("not a folder of this format")
        return folder

    def _leaving(self, source: "MaildirFolder", locator: bytes, flags: int) -> Coming | None:
        """A message that is to be renamed into this folder."""
        found = measure(source, locator)
        if found is None:
            return None
        step = Step(source.relative, place_of(found.locator), target_for(flags, found.size, found.vsize))
        path = source.place(found.locator)
        return Coming(step, flags, found.size, found.vsize, found.when, path, (source, found.locator))

    def _copied(
        self, source: "MaildirFolder", messages: Sequence[tuple[bytes, int]], *, remove: bool
    ) -> list[Coming | None]:
        """Files in our tmp/ with the content of these messages."""
        coming: list[Coming | None] = []
        try:
            for number, (locator, flags) in enumerate(messages):
                if number % _TOUCH_EVERY == 0:
                    self._alive()
                coming.append(self._copy(source, locator, flags, remove))
        except (OSError, MailError):
            for one in coming:
                if one is not None:
                    durable.discard(one.path)
            raise
        return coming

    def _copy(self, source: "MaildirFolder", locator: bytes, flags: int, remove: bool) -> Coming | None:
        path = b"%b/tmp/%b" % (self._folder.directory, names.fresh())
        for _ in range(TRIES):
            found = measure(source, locator)
            if found is None:
                return None
            locator = found.locator
            try:
                if remove or not linked(source.place(locator), path):
                    with contextlib.closing(source.open_exactly(locator)) as message:
                        copy_file(message.file.fileno(), path, self._folder.root.file_mode)
            except FileNotFoundError:
                # Renamed since it was measured, or our own tmp/ is gone.
                continue
            original = (source.relative, place_of(locator)) if remove else None
            return self._coming(path, flags, found.size, found.vsize, found.when, original)
        raise MailError(Kind.UNAVAILABLE, "The message is being changed by another program, try again")

    # -- making it visible --

    def _publish(self, coming: Sequence[Coming]) -> list[Stored | None]:
        """Rules 1 and 2. None for a message that another program moved or removed first."""
        if not coming:
            return []
        folder = self._folder
        several = len(coming) > 1 or any(one.step.original for one in coming)
        written = False
        done: list[Coming] = []
        try:
            self._alive()
            extra = [(names.base_of(one.locator), one.flags & _EXTRA) for one in coming if one.flags & _EXTRA]
            if extra:
                folder.place_extra(extra)
            if several:
                if any(one.source is None for one in coming):
                    durable.dirsync(folder.directory + b"/tmp")
                written = True
                folder.intent.write([one.step for one in coming])
            uids = folder.uidlist.append([one.locator.removeprefix(NEW) for one in coming])
            for number, one in enumerate(coming):
                if number % _TOUCH_EVERY == 0:
                    self._alive()
                if self._show(one):
                    done.append(one)
            durable.dirsync(*(os.path.dirname(folder.place(one.locator)) for one in coming))
            durable.dirsync(*(os.path.dirname(one.path) for one in coming if one.source is not None))
        except BaseException:
            self._undo(coming, done, written)
            raise
        self._remove_originals([one.step for one in coming])
        if several:
            folder.intent.remove()
        shown = {id(one) for one in done}
        return [one.stored(uid) if id(one) in shown else None for one, uid in zip(coming, uids, strict=True)]

    def _show(self, one: Coming) -> bool:
        """Give it its final name; False when it left its folder meanwhile."""
        target = self._folder.place(one.locator)
        for _ in range(TRIES):
            try:
                durable.rename(one.path, target)
                return True
            except FileNotFoundError:
                if one.source is None:
                    raise
                # Its flags were changed by another program meanwhile, or it is gone.
                folder, locator = one.source
                found = folder.locate(locator)
                if found is None:
                    return False
                one.source = (folder, found)
                one.path = folder.place(found)
        raise MailError(Kind.UNAVAILABLE, "The message is being changed by another program, try again")

    def _undo(self, coming: Sequence[Coming], done: Sequence[Coming], written: bool) -> None:
        """As well as the disk lets us; what does not work now is done from the intent later."""
        folder = self._folder
        try:
            if written and done:
                folder.intent.turn_back()
            for one in done:
                if one.source is not None:
                    durable.rename(folder.place(one.locator), one.path)
                else:
                    durable.unlink(folder.place(one.locator))
        except OSError as error:
            folder.root.report("undo-failed", folder.path, os.strerror(error.errno or 0))
            for one in coming:
                # The intent still needs the files.
                if one.spool is not None:
                    one.spool.delivered()
            return
        if written:
            folder.intent.remove()
        for one in coming:
            if one.source is None:
                durable.discard(one.path)

    def _remove_originals(self, steps: Sequence[Step]) -> None:
        root = self._folder.root.path
        for step in steps:
            if step.original is not None and (path := found_at(root, *step.original)) is not None:
                durable.unlink(path)

    def _alive(self) -> None:
        self._folder.lock.touch(self._gate)


def _own(spool: object) -> FileSpool:
    if not isinstance(spool, FileSpool):
        raise TypeError("not a spool of this store")
    return spool


def _place(word: str, letters: list[str], more: list[str]) -> int | None:
    """A keyword's number, given out when it is new."""
    text = os.fsencode(word)
    if not text or len(text) > MAX_KEYWORD_LENGTH or any(octet <= 32 or octet == 127 for octet in text):
        return None
    if not any(known and known.lower() == word.lower() for known in more):
        number = keywords.place(letters, word)
        if number is not None:
            return number
    number = keywords.place(more, word, side_file.ROOM)
    return None if number is None else names.LETTERS + number
