"""Is an environment whole? Asked in a child process, since a damaged LMDB file can kill whoever reads it.

`python -m culverhouse.index.verify PATH` prints what it found as JSON and exits with 0 (sound), 1 (damaged) or 2
(there is nothing, or it cannot be opened). Death by a signal is an answer too.

First the structure, by py-lmdb's verifier, which reads the file as bytes; only what passes is opened. Then every row:
checksums, columns against heads, counters against a count. A file that is written meanwhile may look broken to a
reader of bytes, so that a complaint is looked at once more with all writers kept out.
"""

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import lmdb
import lmdb.verify

from ..model.flags import DELETED, SEEN
from . import cache, folder, listing, schema
from .columns import UNKNOWN, unpack_cold, unpack_hot
from .errors import IndexDamaged
from .head import Head, unpack_head

if TYPE_CHECKING:
    from .environment import Txn

SOUND, DAMAGED, ABSENT = 0, 1, 2
_SHOWN = 200
"""Problems listed at most."""
_MAP = 16 << 30


@dataclass(slots=True)
class VerifyResult:
    """What is known of an environment now."""

    path: str
    present: bool = True
    structure: list[str] = field(default_factory=list)
    """What is wrong with the file as a whole: nothing in it can be trusted."""
    mailboxes: dict[str, list[str]] = field(default_factory=dict)
    """Problems by mailbox; the others are sound. `""`: rows that belong to no mailbox."""
    checked: int = 0
    """Mailboxes looked at."""
    messages: int = 0
    rows: int = 0
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Nothing was found."""
        return not self.structure and not self.mailboxes

    def blame(self, guid: str, problem: str) -> None:
        """Note a problem of one mailbox."""
        problems = self.mailboxes.setdefault(guid, [])
        if len(problems) < _SHOWN:
            problems.append(problem)


def verify_environment(path: str, timeout: float = 3600.0) -> VerifyResult:
    """Look at the environment in a child process, and wait for it. Never raises for what is found there."""
    started = time.monotonic()
    result = VerifyResult(path)
    command = [sys.executable, "-P", "-m", "culverhouse.index.verify", path]
    try:
        child = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        result.structure.append(f"reading it did not end within {timeout:.0f} s")
    else:
        if child.returncode < 0:
            name = signal.Signals(-child.returncode).name
            result.structure.append(f"reading it killed the process that did ({name})")
        else:
            try:
                result = VerifyResult(**json.loads(child.stdout))
            except (ValueError, TypeError):
                text = child.stderr.decode(errors="replace").strip().splitlines()
                result.structure.append(f"the verifier failed: {text[-1] if text else child.returncode}")
    result.seconds = time.monotonic() - started
    return result


def examine(path: str) -> VerifyResult:
    """Look at the environment in this process (which it may kill)."""
    result = VerifyResult(path)
    if not os.path.exists(f"{path}/data.mdb"):
        result.present = False
        return result
    try:
        folder.check_size(path)
        problems = structure(path)
        if problems:
            environment = folder.open_environment(path, _MAP)
            try:
                folder.check_pages(path, environment)
                with environment.begin(write=True):
                    problems = structure(path)
            finally:
                environment.close()
        result.structure.extend(problems[:_SHOWN])
        if result.structure:
            return result
        environment = folder.open_environment(path, _MAP)
        try:
            folder.check_pages(path, environment)
            folder.check_schema(environment)
            with environment.begin() as txn:
                _rows(txn, result)
        finally:
            environment.close()
    except (lmdb.Error, IndexDamaged, OSError) as problem:
        result.structure.append(str(problem))
    return result


def structure(path: str) -> list[str]:
    """LMDB's pages, read as bytes."""
    try:
        return [str(problem) for problem in lmdb.verify.verify(path)]  # type: ignore[no-untyped-call]  # has no stub
    except lmdb.verify.VerifyError as problem:
        return [str(problem)]


def _rows(txn: "Txn", result: VerifyResult) -> None:
    listed = {listing.number_of(txn, guid): guid for guid in listing.guids(txn)}
    with txn.cursor() as cursor:
        more = cursor.set_range(schema.column_key(1, 0))
        while more:
            mailbox = schema.mailbox_of(cursor.key())
            key = schema.column_key(mailbox, schema.HEAD)
            record = txn.get(key)
            guid = listed.pop(mailbox, "")
            if record is not None:
                result.checked += 1
                head = unpack_head(key, record)
                if head is None:
                    result.blame(guid, "head: checksum")
                elif head.guid != guid:
                    result.blame(guid or head.guid, "head: of another mailbox than the directory says")
                else:
                    _mailbox(txn, mailbox, head, result)
            more = mailbox < schema.LAST_NUMBER and cursor.set_range(schema.column_key(mailbox + 1, 0))
    for guid in listed.values():
        result.blame(guid, "no head")


def _mailbox(txn: "Txn", mailbox: int, head: Head, result: VerifyResult) -> None:
    """Columns against the head, counters against a count; then the rows that stand alone."""
    result.messages += head.messages
    directory = head.directory()
    counted: Counter[str] = Counter()
    last = 0
    for number, first in enumerate(directory.firsts):
        where = f"UIDs from {first}"
        hot, joined, cold = (
            _column(txn, mailbox, column, first, digest)
            for column, digest in (
                (schema.HOT, directory.hot[number]),
                (schema.LOCATORS, directory.locators[number]),
                (schema.COLD, directory.cold[number]),
            )
        )
        if hot is None or joined is None or cold is None:
            result.blame(head.guid, f"{where}: digest")
            continue
        uids, flags, modseqs = unpack_hot(hot)
        vsizes = unpack_cold(cold)[1]
        if not len(uids) == len(joined.split(b"\0")) == len(vsizes) == directory.counts[number] > 0:
            result.blame(head.guid, f"{where}: columns of different length")
            continue
        if not last < uids[0] or any(one >= two for one, two in pairwise(uids)):
            result.blame(head.guid, f"{where}: order")
        last = uids[-1]
        if max(modseqs) > min(directory.modseqs[number], head.highestmodseq):
            result.blame(head.guid, f"{where}: modseq above the head's")
        unknown = vsizes.count(UNKNOWN)
        counted["messages"] += len(uids)
        counted["unseen"] += sum(not mask & SEEN for mask in flags)
        counted["deleted"] += sum(bool(mask & DELETED) for mask in flags)
        counted["recent"] += sum(uid >= head.first_recent for uid in uids)
        counted["size_unknown"] += unknown
        counted["size"] += sum(vsizes) - unknown * UNKNOWN
    for name in ("messages", "unseen", "deleted", "recent", "size_unknown", "size"):
        if getattr(head, name) != counted[name] and head.guid not in result.mailboxes:
            result.blame(head.guid, f"{name}: {getattr(head, name)} in the head, {counted[name]} counted")
    if last >= head.uidnext and last < 0xFFFFFFFF:
        result.blame(head.guid, "UIDNEXT is not above the last UID")
    _loose_rows(txn, mailbox, head, result)


def _column(txn: "Txn", mailbox: int, column: int, first: int, digest: int) -> bytes | None:
    key = schema.row_key(mailbox, column, first)
    value = txn.get(key)
    return value if value is not None and schema.digest(key, value) == digest else None


def _loose_rows(txn: "Txn", mailbox: int, head: Head, result: VerifyResult) -> None:
    prefix = mailbox.to_bytes(4, "big")
    firsts = set(head.directory().firsts)
    logged = 0
    with txn.cursor() as cursor:
        more = cursor.set_range(prefix)
        while more:
            key, record = cursor.item()
            if key[:4] != prefix:
                break
            result.rows += 1
            column = key[4]
            if column in (schema.HOT, schema.LOCATORS, schema.COLD):
                if schema.split_row_key(key)[2] not in firsts:
                    result.blame(
                        head.guid, f"column {column} of UIDs from {schema.split_row_key(key)[2]}: not in the head"
                    )
            elif column == schema.VANISHED:
                logged += 1
                body = schema.checked(key, record)
                if body is None or len(array("I", body)) % 2:
                    result.blame(head.guid, f"vanished log at {schema.split_log_key(key)[2]}: checksum")
            elif column >= schema.FACTS and not cache.sound(key, record):
                result.blame(head.guid, f"facts {column - schema.FACTS}, row {schema.split_row_key(key)[2]}: checksum")
            more = cursor.next()
    if logged != head.vanished_rows:
        result.blame(head.guid, f"vanished log: {head.vanished_rows} rows in the head, {logged} counted")


def main() -> int:
    """Entry point of the child."""
    if len(sys.argv) != 2:
        print("usage: python -m culverhouse.index.verify PATH", file=sys.stderr)
        return ABSENT
    result = examine(sys.argv[1])
    json.dump(asdict(result), sys.stdout)
    sys.stdout.write("\n")
    return ABSENT if not result.present else SOUND if result.sound else DAMAGED


if __name__ == "__main__":
    sys.exit(main())
