"""`python -m tests.crash.cases OPERATION DIR`: one operation of an account, broken at every step that changes the disk.

For each step n the prepared account is copied, a child process does the operation and is killed, or the disk fails
with ENOSPC or EIO, at its n-th step; then a fresh process looks at what is left, first with the index as it is, then
after deleting it. Prints one JSON line for each case: what was broken where, and what was wrong with the result
(`wrong`, empty when all is well).

The rules: nothing acknowledged is lost; an operation that was not acknowledged is visible wholly or not at all
(EXPUNGE, STORE and MOVE between folders of one disk: message by message); a moved message is in exactly one folder;
UIDs never change; nothing half-written stays.
"""

import contextlib
import errno
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from culverhouse.account.account import Account
from culverhouse.account.results import NewMessage
from culverhouse.index.env import Environments
from culverhouse.mailstore import durable
from culverhouse.model.account import AccountSpec
from culverhouse.model.errors import MailError
from culverhouse.model.flags import DELETED, FLAGGED, SEEN, FlagOp

State = dict[str, dict[int, tuple[str, int]]]
"""Mailbox → UID → (subject, flags)."""


def message(subject: str) -> bytes:
    return f"From: a@example.org\r\nSubject: {subject}\r\n\r\nThis is {subject}.\r\n".encode()


def open_account(folder: Path) -> Account:
    spec = AccountSpec(
        user="alice", store=f"maildir:{folder}/Maildir", layout="maildir++", separator="/", prefix="",
        index=f"{folder}/index",
    )  # fmt: skip
    account = Account(spec, None, None, Environments())
    account.prepare()
    return account


def append(account: Account, name: str, subjects: list[str], flags: int = 0) -> list[int]:
    new = []
    for subject in subjects:
        spool = account.spool(name)
        spool.write(message(subject))
        spool.finish()
        new.append(NewMessage(spool, flags))
    return account.append(name, new).uids


def look(account: Account) -> State:
    """Everything a client can see."""
    state: State = {}
    for name in ("INBOX", "Other"):
        view = account.select(name, True, lambda: None)
        view.sync()
        view.updates(True)
        found = state[name] = {}
        for _, uid, flags, _ in view.rows(list(view.uids)):
            opened = view.open(uid)
            text = opened.file.read().decode().replace("\r\n", "\n")
            opened.close()
            subject = text.split("Subject: ", 1)[1].split("\n", 1)[0]
            assert text.endswith(f"\n\nThis is {subject}.\n"), f"torn message {uid}: {text!r}"
            assert uid not in found
            found[uid] = (subject, flags)
        view.close()
    return state


def prepare(folder: Path) -> None:
    account = open_account(folder)
    account.create("Other")
    append(account, "INBOX", ["one", "two", "three", "four"])
    append(account, "Other", ["elsewhere"], SEEN)
    account.release()


def selected(account: Account, work: Callable[[Any], object]) -> None:
    view = account.select("INBOX", False, lambda: None)
    try:
        work(view)
    finally:
        view.close()


def expunge(account: Account) -> None:
    def work(view: Any) -> None:
        view.store([1, 2, 3], FlagOp.ADD, DELETED, ())
        view.expunge()

    selected(account, work)


OPERATIONS: dict[str, Callable[[Account], object]] = {
    "append": lambda account: append(account, "INBOX", ["new 1"], FLAGGED),
    "append-recent": lambda account: append(account, "INBOX", ["new 1"]),
    "multiappend": lambda account: append(account, "INBOX", ["new 1", "new 2", "new 3"], SEEN),
    "copy": lambda account: selected(account, lambda view: view.copy([2], "Other")),
    "copy-several": lambda account: selected(account, lambda view: view.copy([1, 2, 4], "Other")),
    "move": lambda account: selected(account, lambda view: view.move([2], "Other")),
    "move-several": lambda account: selected(account, lambda view: view.move([1, 2, 4], "Other")),
    "expunge": expunge,
    "store": lambda account: selected(account, lambda view: view.store([1, 3], FlagOp.ADD, FLAGGED, ("Work",))),
}
WHOLE = {"append", "append-recent", "multiappend", "copy", "copy-several"}
"""Visible wholly or not at all; the others message by message."""


def subjects(state: State, name: str) -> list[str]:
    return sorted(subject for subject, _ in state[name].values())


def judge(operation: str, acknowledged: bool, before: State, after: State, now: State) -> list[str]:
    """What is wrong with `now`, given the state before and that of an undisturbed run."""
    wrong = []
    if acknowledged and {n: subjects(now, n) for n in now} != {n: subjects(after, n) for n in after}:
        wrong.append(f"acknowledged, but {now} instead of {after}")
    if operation in WHOLE and not acknowledged:
        allowed = [{n: subjects(state, n) for n in state} for state in (before, after)]
        if {n: subjects(now, n) for n in now} not in allowed:
            wrong.append(f"half visible: {now}")
    known = {(name, uid): value for name in before for uid, value in before[name].items()}
    for (name, uid), (subject, flags) in known.items():
        value = now[name].get(uid)
        if value is not None and value[0] != subject:
            wrong.append(f"{name} UID {uid} was {subject}, is {value[0]}")
        if operation.startswith("move"):
            places = sum(subjects(now, n).count(subject) for n in now)
            if places != 1:
                wrong.append(f"{subject} is in {places} places")
        elif value is None and not (operation == "expunge" and uid in (1, 2, 3)):
            wrong.append(f"{name} UID {uid} {subject} is lost")
        if value is not None and operation not in ("store", "expunge") and value[1] != flags:
            wrong.append(f"{name} UID {uid} flags {flags} became {value[1]}")
        if value is not None and operation == "store" and value[1] not in (flags, after[name][uid][1]):
            wrong.append(f"{name} UID {uid} has half of its flags: {value[1]}")
    for name in now:
        fresh = [uid for uid in now[name] if uid not in before[name]]
        if fresh and min(fresh) <= max(before[name]):
            wrong.append(f"{name}: UID {min(fresh)} is not above {max(before[name])}")
    return wrong


def in_child(work: Callable[[], object]) -> tuple[int, bytes]:
    """Run in a forked process; (exit status or minus the signal, what it wrote to its pipe)."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        status = 1
        try:
            answer = work()
            os.write(write, json.dumps(answer).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), data


def breaking(kind: str, number: int) -> Callable[[str], None]:
    """A step hook that breaks at the `number`-th step."""
    count = 0

    def step(name: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            if kind == "kill":
                os.kill(os.getpid(), 9)
            raise OSError(getattr(errno, kind), name)

    return step


def observe(folder: Path) -> State:
    """Look at the account in a process of its own, as after a restart."""

    def work() -> State:
        account = open_account(folder)
        state = look(account)
        account.release()
        return state

    status, data = in_child(work)
    if status:
        raise AssertionError(f"the account cannot be opened after it (status {status})")
    return {name: {int(uid): (v[0], v[1]) for uid, v in rows.items()} for name, rows in json.loads(data).items()}


def leftovers(folder: Path) -> list[str]:
    """Files that nobody should find after a failed operation."""
    return [
        str(path.relative_to(folder))
        for path in (folder / "Maildir").rglob("*")
        if path.is_file() and (path.parent.name == "tmp" or "intent" in path.name or path.name.endswith(".lock"))
    ]


def count_steps(template: Path, folder: Path, operation: str) -> tuple[list[str], State]:
    shutil.copytree(template, folder, copy_function=copy)

    def work() -> list[str]:
        names: list[str] = []
        account = open_account(folder)
        durable.step = names.append
        OPERATIONS[operation](account)
        durable.step = lambda name: None
        return names

    status, data = in_child(work)
    assert status == 0, "the undisturbed run failed"
    return json.loads(data), observe(folder)


def copy(source: str, target: str) -> str:
    return str(shutil.copy2(source, target))


def run_case(
    template: Path, folder: Path, operation: str, kind: str, number: int, before: State, after: State
) -> list[str]:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, copy_function=copy)

    def work() -> str:
        account = open_account(folder)
        durable.step = breaking(kind, number)
        try:
            OPERATIONS[operation](account)
        except MailError as error:
            return error.kind.value
        return "ok"

    status, data = in_child(work)
    if status not in (0, -9):
        return [f"the operation ended with status {status}"]
    answer = json.loads(data) if data else ""
    wrong = []
    if kind == "kill" and status != -9:
        wrong.append("was not killed")
    if kind == "ENOSPC" and answer not in ("ok", "overquota", "unavailable"):
        wrong.append(f"answered {answer}")
    now = observe(folder)
    wrong += judge(operation, answer == "ok", before, after, now)
    if kind != "kill" and (left := leftovers(folder)):
        wrong.append(f"left behind: {left}")
    again = observe(folder)
    if again != now:
        wrong.append(f"second look differs: {again}")
    shutil.rmtree(folder / "index", ignore_errors=True)
    without = observe(folder)
    if without != now:
        wrong.append(f"without the index: {without} instead of {now}")
    return wrong


def main() -> int:
    operation, root = sys.argv[1], Path(sys.argv[2])
    template = root / "template"
    status, _ = in_child(lambda: prepare(template))
    assert status == 0
    before = observe(template)
    names, after = count_steps(template, root / "whole", operation)
    for kind in ("kill", "ENOSPC", "EIO"):
        for number, name in enumerate(names, 1):
            try:
                wrong = run_case(template, root / "case", operation, kind, number, before, after)
            except Exception as error:
                wrong = [repr(error)]
            print(json.dumps({"kind": kind, "number": number, "step": name, "wrong": wrong}), flush=True)
    with contextlib.suppress(OSError):
        shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
