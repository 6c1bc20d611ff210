"""`python -m tests.crash.store_cases OPERATION LAYOUT DIR`: one operation of a bare store, broken at every step.

For each step n of the operation the prepared store is copied and a child process does the operation; at its n-th step
it is killed, or the disk fails there with ENOSPC or EIO, once or from then on. Operations that leave an intent are
also killed while they undo what failed, and while a second process finishes what the first one left. Then a fresh
store looks at what there is. Prints one JSON line for each case: where it was broken, whether the operation was
acknowledged, and what is `wrong`.
"""

import contextlib
import errno
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from culverhouse.mailstore import durable
from culverhouse.mailstore.maildir.folder import MaildirFolder
from culverhouse.mailstore.maildir.store import MaildirStore
from culverhouse.model.errors import MailError
from culverhouse.model.flags import FLAGGED, SEEN, keyword_bit
from culverhouse.model.store import Arrival

Seen = dict[str, dict[str, tuple[int, int, int]]]
"""Mailbox → subject → (UID, flags, INTERNALDATE)."""

OLD = 1_000_000_000
TAGGED = SEEN | keyword_bit(0)


def text(subject: str) -> bytes:
    return f"Subject: {subject}\r\n\r\n{subject} ends here.\r\n".encode()


def open_store(directory: Path, layout: str) -> MaildirStore:
    return MaildirStore(f"{directory}/Maildir", layout, "/", "")


def arrivals(folder: MaildirFolder, subjects: list[str], flags: list[int]) -> list[Arrival]:
    made: list[Arrival] = []
    try:
        for subject, mask in zip(subjects, flags, strict=True):
            spool = folder.spool()
            made.append(Arrival(spool, mask, OLD + len(made)))
            spool.write(text(subject))
            spool.finish()
    except MailError:
        for arrival in made:
            arrival.spool.discard()
        raise
    return made


def build(directory: Path, layout: str) -> None:
    """INBOX with four messages, Other with one; a child of Other, for renames; one subscription."""
    store = open_store(directory, layout)
    store.prepare()
    inbox, other = store.folder("INBOX"), store.create("Other")
    store.create("Other/Below", ["\\Archive"])
    store.subscribe("Other", True)
    for folder, subjects in ((inbox, ["one", "two", "three", "four"]), (other, ["five"])):
        with folder.locked() as transaction:
            transaction.keyword_numbers(["first", "second"])
            transaction.add(arrivals(folder, subjects, [0, SEEN, TAGGED, 0][: len(subjects)]))
            transaction.reserve_modseq(1000)


def look(store: MaildirStore) -> Seen:
    """What there is in the mailboxes that exist, with the UIDs that the store gives."""
    seen: Seen = {}
    for info in store.mailboxes():
        if not info.selectable:
            continue
        folder = store.folder(info.name)
        found = seen[info.name] = {}
        with folder.locked() as transaction:
            scan = folder.scan()
            assert scan.stable
            uids = transaction.assign(sorted(scan.locators))
        for locator, uid in uids.items():
            with contextlib.closing(folder.open(locator)) as message:
                content = message.file.read()
                subject = content.split(b"\r\n")[0].removeprefix(b"Subject: ").decode()
                assert content == text(subject), f"torn: {content!r}"
                assert subject not in found, f"{subject} twice in {info.name}"
                found[subject] = (uid, folder.parse(locator).flags, message.internaldate)
    return seen


# -- operations ------------------------------------------------------------------------------------------------------


def _locators(folder: MaildirFolder, subjects: list[str]) -> list[bytes]:
    found = {}
    for locator in folder.scan().locators:
        with contextlib.closing(folder.open(locator)) as message:
            found[message.file.readline().split(b": ")[1].strip().decode()] = locator
    return [found[subject] for subject in subjects]


def _add(store: MaildirStore, subjects: list[str]) -> None:
    folder = store.folder("Other")
    coming = arrivals(folder, subjects, [0, SEEN, TAGGED][: len(subjects)])
    try:
        with folder.locked() as transaction:
            transaction.add(coming)
    finally:
        for arrival in coming:
            arrival.spool.discard()


def _bring(store: MaildirStore, subjects: list[str], move: bool) -> None:
    inbox, other = store.folder("INBOX"), store.folder("Other")
    messages = [(locator, TAGGED) for locator in _locators(inbox, subjects)]
    with other.locked() as transaction:
        (transaction.move_from if move else transaction.copy_from)(inbox, messages)


def _flag(store: MaildirStore) -> None:
    folder = store.folder("INBOX")
    folder.change_flags(_locators(folder, ["one"])[0], lambda flags: flags | FLAGGED)


def _expunge(store: MaildirStore, keep_for: tuple[int, ...]) -> None:
    folder = store.folder("INBOX")
    folder.expunge(2, _locators(folder, ["two"])[0], keep_for)


OPERATIONS: dict[str, Callable[[MaildirStore], object]] = {
    "add-1": lambda store: _add(store, ["new-1"]),
    "add-3": lambda store: _add(store, ["new-1", "new-2", "new-3"]),
    "copy-1": lambda store: _bring(store, ["one"], move=False),
    "copy-3": lambda store: _bring(store, ["one", "two", "three"], move=False),
    "move-1": lambda store: _bring(store, ["two"], move=True),
    "move-3": lambda store: _bring(store, ["one", "two", "three"], move=True),
    "expunge": lambda store: _expunge(store, ()),
    "expunge-viewed": lambda store: _expunge(store, (1, os.getpid())),
    "change-flags": _flag,
    "create": lambda store: store.create("Made/Deep", ["\\Sent"]),
    "delete": lambda store: store.delete("Other"),
    "rename": lambda store: store.rename("Other", "Renamed"),
    "rename-inbox": lambda store: store.rename("INBOX", "Old"),
    "subscribe": lambda store: store.subscribe("Made/Deep", True),
}
WITH_INTENT = ("add-3", "copy-3", "move-3", "rename", "rename-inbox")


# -- what may be left --------------------------------------------------------------------------------------------------


def judge(
    operation: str, before: Seen, after: Seen, acknowledged: bool, undone: bool, store: MaildirStore
) -> list[str]:
    """What is wrong. `undone`: the operation failed while its process lived, so that nothing of it may be seen."""
    wrong: list[str] = []
    kind, _, number = operation.partition("-")
    count = int(number) if number.isdigit() else 1

    def expect(what: str, good: bool) -> None:
        if not good:
            wrong.append(f"{what}: {after}")

    def wholly(shown: int, name: str) -> None:
        allowed = {count} if acknowledged else {0} if undone else {0, count}
        expect(f"{shown} of {count} messages in {name}", shown in allowed)

    untouched = {name: dict(found) for name, found in before.items()}
    if kind == "add":
        new = {subject: row for subject, row in after["Other"].items() if subject.startswith("new")}
        wholly(len(new), "Other")
        for subject, (uid, flags, date) in new.items():
            place = int(subject[-1]) - 1
            expect("UIDs in order", uid > 1 and (place == 0 or uid == new[f"new-{place}"][0] + 1))
            expect("flags", (flags, date) == ([0, SEEN, TAGGED][place], OLD + place))
    elif kind in ("copy", "move"):
        wanted = {1: ["one"] if kind == "copy" else ["two"], 3: ["one", "two", "three"]}[count]
        arrived = [subject for subject in wanted if subject in after["Other"]]
        wholly(len(arrived), "Other")
        for subject in arrived:
            expect("flags and date", after["Other"][subject][1:] == (TAGGED, before["INBOX"][subject][2]))
        if kind == "move":
            both = [subject for subject in wanted if (subject in after["INBOX"]) == (subject in after["Other"])]
            expect(f"{both} not in exactly one folder", not both)
            for subject in arrived:
                untouched["INBOX"].pop(subject)
    elif operation.startswith("expunge"):
        gone = "two" not in after["INBOX"]
        expect("expunge", gone if acknowledged else True)
        if gone:
            untouched["INBOX"].pop("two")
    elif operation == "change-flags":
        uid, flags, date = after["INBOX"].pop("one")
        expect("flags", flags == FLAGGED if acknowledged else flags in (0, FLAGGED))
        expect("flags of another message", (uid, date) == (before["INBOX"]["one"][0], before["INBOX"]["one"][2]))
        untouched["INBOX"].pop("one")
    elif operation == "create":
        expect("created", "Made/Deep" in after if acknowledged else True)
        uses = {info.name: info.special_use for info in store.mailboxes()}
        expect("special-use", uses.get("Made/Deep", ("\\Sent",)) == ("\\Sent",))
    elif operation == "delete":
        expect("deleted", "Other" not in after if acknowledged else True)
        if "Other" not in after:
            untouched.pop("Other")
    elif operation == "rename":
        names = {name for name in after if name != "INBOX"}
        whole = [{"Other", "Other/Below"}, {"Renamed", "Renamed/Below"}]
        expect("renamed", names == whole[1] if acknowledged else names in (whole[:1] if undone else whole))
        if names == whole[1]:
            untouched["Renamed"] = untouched.pop("Other")
            untouched["Renamed/Below"] = untouched.pop("Other/Below")
    elif operation == "rename-inbox":
        here, there = set(after["INBOX"]), set(after.get("Old", {}))
        expect("messages lost or doubled", here | there == set(before["INBOX"]) and not here & there)
        expect("renamed", not here if acknowledged else not here or not there)
        untouched["INBOX"] = {subject: row for subject, row in untouched["INBOX"].items() if subject in here}
    elif operation == "subscribe":
        names = store.subscriptions()
        expect("subscriptions", names == ["Other", "Made/Deep"] if acknowledged else names[:1] == ["Other"])
    for name, found in untouched.items():
        for subject, row in found.items():
            expect(f"{subject} of {name} was {row}", after.get(name, {}).get(subject) == row)
    return wrong


def leftovers(directory: Path) -> list[str]:
    """Files that nobody will ever use again."""
    return [
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if "temp." in path.name
        or path.name.endswith(".lock")
        or path.name.startswith(("culverhouse-intent", "culverhouse-renames"))
        or (path.parent.name == "tmp" and not path.name.startswith("culverhouse-"))
    ]


def _unused_lock(path: Path) -> bool:
    """The lock of a mailbox whose deletion was cut short, in a directory that still leads to others."""
    return path.name.endswith(".lock") and not (path.parent / "cur").exists()


# -- breaking it -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def broken(step: int, fault: str) -> Iterator[list[str]]:
    """Let the `step`-th step (from 1) fail. Gives the names of the steps so far."""
    steps: list[str] = []

    def on(name: str) -> None:
        steps.append(name)
        if fault.startswith("undo-") and len(steps) == step + int(fault[5:]):
            os.kill(os.getpid(), signal.SIGKILL)
        if len(steps) == step or (len(steps) > step and fault.endswith("-on")):
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            code = errno.ENOSPC if fault.startswith("ENOSPC") else errno.EIO
            # Removing needs no space.
            if code == errno.EIO or not name.startswith(("unlink", "rmdir", "intent-remove")):
                raise OSError(code, os.strerror(code))

    before = durable.step
    durable.step = on
    try:
        yield steps
    finally:
        durable.step = before


def in_child(work: Callable[[], str]) -> str:
    """What `work` gives in a child process; "killed" when that died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.write(writing, work().encode())
        except BaseException:
            os.write(writing, b"bug " + traceback.format_exc().encode()[-3000:])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        answer = file.read().decode()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else answer


def attempt(directory: Path, layout: str, operation: str, step: int, fault: str) -> tuple[str, str]:
    """(acknowledged, refused, killed or bug …; the step's name or "" when there is no such step)."""

    def work() -> str:
        store = open_store(directory, layout)
        with broken(step, fault) as steps:
            try:
                OPERATIONS[operation](store)
                outcome = "acknowledged"
            except MailError:
                outcome = "refused"
        return f"{outcome} {steps[step - 1] if len(steps) >= step else ''}"

    outcome, _, name = in_child(work).partition(" ")
    return outcome, name


def raw(directory: Path) -> list[str]:
    """Subjects of all message files that lie where other programs see them."""
    return [
        path.read_bytes().split(b"\r\n")[0].removeprefix(b"Subject: ").decode()
        for path in directory.rglob("*")
        if path.is_file() and path.parent.name in ("cur", "new")
    ]


def check(
    operation: str, layout: str, directory: Path, before: Seen, validity: dict[str, int], outcome: str, undone: bool
) -> list[str]:
    store = open_store(directory, layout)
    wrong = []
    if undone and (left := leftovers(directory)):
        wrong.append(f"left behind: {left}")
    if operation.startswith("move") and sorted(raw(directory)) != sorted(["one", "two", "three", "four", "five"]):
        wrong.append(f"not in exactly one folder before recovery: {raw(directory)}")
    try:
        store.prepare()
        after = look(store)
        wrong += judge(operation, before, {name: dict(found) for name, found in after.items()},
                       outcome == "acknowledged", undone, store)  # fmt: skip
        for name in set(after) & set(validity):
            if store.folder(name).header().uidvalidity != validity[name]:
                wrong.append(f"UIDVALIDITY of {name} changed")
        mended = [report for report in store.folder("INBOX").drain_reports() if "repaired" in report.event]
        if mended:
            wrong.append(f"a uidlist was damaged: {mended}")
        again = look(open_store(directory, layout))
        if again != after:
            wrong.append(f"UIDs or flags differ at a second look: {after} {again}")
        store.subscribe("Other", False)
        left = [name for name in leftovers(directory) if "temp." not in name and not _unused_lock(directory / name)]
        if left:
            wrong.append(f"left for good: {left}")
    except (MailError, AssertionError, OSError) as error:
        wrong.append("".join(traceback.format_exception(error))[-2000:])
    return wrong


def main(operation: str, layout: str, directory: Path) -> None:
    directory.mkdir(parents=True)
    template = directory / "template"
    build(template, layout)
    store = open_store(template, layout)
    before = look(store)
    validity = {info.name: store.folder(info.name).header().uidvalidity for info in store.mailboxes()}

    def case(step: int, fault: str, again: int = 0) -> bool:
        """False when the operation, or its recovery, has no such step."""
        place = directory / f"{fault}-{step}-{again}"
        shutil.copytree(template, place, symlinks=True)
        outcome, name = attempt(place, layout, operation, step, fault)
        reached = outcome == "killed" or bool(name)
        if again and reached:
            def recover() -> str:
                second = open_store(place, layout)
                with broken(again, "kill") as steps:
                    second.prepare()
                    look(second)
                return "done" if len(steps) < again else "reached"

            reached = in_child(recover) == "killed"
        refused = outcome == "refused" and not fault.endswith("-on")
        wrong = check(operation, layout, place, before, validity, outcome, refused)
        if outcome not in ("acknowledged", "refused", "killed"):
            wrong.append(f"{outcome} {name}")
        print(json.dumps({"step": step, "name": name, "fault": fault, "again": again, "outcome": outcome,
                          "wrong": wrong}), flush=True)  # fmt: skip
        shutil.rmtree(place)
        return reached

    undone = [f"undo-{later}" for later in (1, 2, 4, 6)] if operation in WITH_INTENT else []
    for fault in ("kill", "ENOSPC", "EIO", "ENOSPC-on", "EIO-on", *undone):
        step = 1
        while case(step, fault):
            step += 1
        if fault == "kill" and operation in WITH_INTENT:
            for first in range(2, step, 3):
                again = 1
                while again < 60 and case(first, fault, again):
                    again += 2


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
