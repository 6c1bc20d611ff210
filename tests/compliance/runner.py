"""Runs imaptest's scripted cases against any IMAP server and tells what failed.

    python -m tests.compliance.runner FOLDER --host H --port P --user U --password P [--only NAME …] [--verbose]

FOLDER holds case files as imaptest's documentation describes them; each case deletes and makes the mailboxes whose
names begin with `--box`, and nothing else. Exit status: 0 when no case failed, 1 when one did, 2 when a case file is
wrong or the server cannot be reached. Cases without a `capabilities` header test the base protocol and are counted
apart from those that test extensions.
"""

import argparse
import sys
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .connection import Connection, Gone, Objection, Reply, Shared, quoted
from .matching import ALL, Mismatch, Variables
from .mbox import Source
from .script import BadScript, Case, Command, Existence, Group, State, find, read
from .values import Atom, List, Malformed, String, parse, render, text_of


@dataclass(frozen=True, slots=True)
class Target:
    """The server under test."""

    host: str
    port: int
    user: str
    password: str
    user2: str | None = None
    password2: str | None = None
    box: str = "imaptest"


@dataclass(slots=True)
class Outcome:
    """What became of one case."""

    case: Case
    skipped: str = ""
    groups: int = 0
    failures: list[str] = field(default_factory=list)


class Failed(Exception):
    """The case cannot go on."""


class Execution:
    """One case on one server."""

    def __init__(self, case: Case, target: Target) -> None:
        self.case = case
        self.target = target
        self.outcome = Outcome(case)
        self.variables = Variables()
        self.source = Source(case.mbox)
        self.connections: list[Connection] = []

    def run(self) -> Outcome:
        try:
            if self._prepare():
                for group in self.case.groups[1 if self.case.banner else 0 :]:
                    self._group(group)
        except (Failed, Gone, Objection, OSError, Mismatch) as error:
            self.outcome.failures.append(str(error) or f"the server closed the connection ({type(error).__name__})")
        finally:
            for connection in self.connections:
                connection.close()
        return self.outcome

    # --- preparation -----------------------------------------------------------------------------------------------

    def _users(self) -> list[tuple[str, str]] | None:
        users = []
        for number in range(self.case.connections):
            wanted = self.case.users.get(number)
            if wanted in ("$user2", "${user2}"):
                if self.target.user2 is None:
                    return None
                users.append((self.target.user2, self.target.password2 or self.target.password))
            else:
                users.append((wanted or self.target.user, self.target.password))
        return users

    def _prepare(self) -> bool:
        """Bring everything into the state the case starts from; False when it is to be skipped."""
        case, target = self.case, self.target
        users = self._users()
        if users is None:
            self.outcome.skipped = "needs a second user"
            return False
        shared = Shared()
        for number, (user, password) in enumerate(users):
            suffix = str(number + 1) if number else ""
            name, _, domain = user.partition("@")
            known = {"user": user, "username": name, "domain": domain or target.host, "password": password}
            self.variables.values.update({(key + suffix).encode(): value.encode() for key, value in known.items()})
            connection = Connection(number, target.host, target.port, shared)
            self.connections.append(connection)
            self._greeted(connection)
        self.variables.values[b"mailbox"] = target.box.encode()
        self.variables.values[b"mailbox_url"] = urllib.parse.quote(target.box).encode()
        if case.state is not State.NONAUTH:
            for connection, (user, password) in zip(self.connections, users, strict=True):
                self._ok(connection, b"LOGIN %b %b" % (quoted(user), quoted(password)))
                self._ok(connection, b"CAPABILITY")
        missing = [name for name in case.capabilities if name.upper() not in self.connections[0].capabilities]
        if missing:
            self.outcome.skipped = "no " + " ".join(name.decode() for name in missing)
            return False
        if case.state >= State.AUTH:
            self._clean(self.connections[0])
        if case.state >= State.CREATED and target.box.upper() != "INBOX":
            self._ok(self.connections[0], b"CREATE %b" % quoted(target.box))
        if case.state >= State.APPENDED:
            for _ in range(len(self.source.messages) if case.messages is None else case.messages):
                self._ok(self.connections[0], self._append_text(quoted(target.box), dated=True))
        if case.state >= State.SELECTED:
            for connection in self.connections:
                self._ok(connection, b"SELECT %b" % quoted(target.box))
        return True

    def _greeted(self, connection: Connection) -> None:
        greeting = connection.read()
        if greeting.tag != b"*" or greeting.word not in (b"OK", b"PREAUTH"):
            raise Failed(f"not an IMAP greeting: {render(greeting.values)}")
        if self.case.banner and connection.number == 0:
            check = _GroupCheck(self.case.groups[0], self.variables, None, self.case.ignore_extra)
            check.untagged(greeting)
            self._count(self.case.groups[0], check.finish())
        if not connection.learn_capabilities(greeting.values):
            self._ok(connection, b"CAPABILITY")

    def _ok(self, connection: Connection, text: bytes) -> list[Reply]:
        replies = connection.run(text)
        if replies[-1].word != b"OK":
            raise Failed(f"preparation: {text[:80]!r} got {render(replies[-1].values)}")
        return replies

    def _clean(self, connection: Connection) -> None:
        """Delete and unsubscribe what an earlier case left; a parent without a mailbox may refuse."""
        pattern = quoted(self.target.box + "*")
        for listing, wanted, removal in ((b"LIST", b"LIST", b"DELETE"), (b"LSUB", b"LSUB", b"UNSUBSCRIBE")):
            names = [
                text_of(reply.values[3]) or b""
                for reply in self._ok(connection, b'%b "" %b' % (listing, pattern))
                if reply.tag == b"*" and reply.word == wanted and len(reply.values) > 3
            ]
            for name in sorted(names, key=bytes.upper, reverse=True):
                answer = connection.run(b"%b %b" % (removal, quoted(name.decode("utf-8", "surrogateescape"))))[-1]
                if answer.word == b"BAD":
                    raise Failed(f"preparation: {removal.decode()} got {render(answer.values)}")

    def _append_text(self, arguments: bytes, *, dated: bool) -> bytes:
        message, date = self.source.next()
        when = b' "%b"' % date.encode() if dated else b""
        return b"APPEND %b%b {%d}\r\n%b" % (arguments, when, len(message), message)

    # --- groups ----------------------------------------------------------------------------------------------------

    def _group(self, group: Group) -> None:
        connection = self.connections[group.connection]
        self.variables.sequence = list(range(1, len(connection.uids) + 1))
        pending: dict[bytes, Command] = {}
        first: bytes | None = None
        early: list[Reply] = []
        for command in group.commands:
            tag, seen = connection.send(self._text(command))
            pending[tag] = command
            first = first or tag
            early += seen
        check = _GroupCheck(group, self.variables, first, self.case.ignore_extra or _is_logout(group))
        try:
            while pending:
                reply = early.pop(0) if early else connection.read()
                if reply.tag == b"*":
                    check.untagged(reply)
                    if len(reply.values) > 1 and (text_of(reply.values[1]) or b"").upper() == b"EXPUNGE":
                        self.variables.expunged(int(reply.word))
                elif reply.tag in pending:
                    check.tagged(pending.pop(reply.tag), reply)
                elif reply.tag != b"+":
                    check.failures.append(f"a reply to no command: {reply.tag!r} {render(reply.values)}")
        except Gone:
            if not (group.says_bye and connection.bye):
                self._count(group, [*check.failures, "the server closed the connection"])
                raise Failed("the case ended early") from None
            for command in pending.values():
                if command.reply != [Atom(b"")]:
                    check.failures.append(f"closed before the tagged reply {render(command.reply or [])}")
        except (Objection, OSError) as error:
            self._count(group, [*check.failures, str(error) or type(error).__name__])
            raise Failed("the case ended early") from None
        self._count(group, check.finish())
        for text in group.output:
            print(self.variables.expand(text).decode("utf-8", "backslashreplace"))
        if group.pause:
            time.sleep(group.pause)

    def _text(self, command: Command) -> bytes:
        """What is sent for a command of the script."""
        text = self._expand(command.text)
        name, _, arguments = text.partition(b" ")
        if name.upper() == b"APPEND" and not arguments:
            return self._append_text(quoted(self.target.box), dated=True)
        if name.upper() == b"APPEND" and not _has_body(arguments):
            return self._append_text(arguments, dated=False)
        return text

    def _expand(self, text: bytes) -> bytes:
        """Variables everywhere; the sizes of literals follow."""
        head, mark, rest = text.partition(b"{")
        digits, close, after = rest.partition(b"}\r\n")
        if not mark or not close or not digits.isdigit():
            return self.variables.expand(text)
        size = int(digits)
        literal = self.variables.expand(after[:size]) if b"$" in after[:size] else after[:size]
        return b"%b{%d}\r\n%b%b" % (self.variables.expand(head), len(literal), literal, self._expand(after[size:]))

    def _count(self, group: Group, failures: list[str]) -> None:
        self.outcome.groups += 1
        if failures:
            command = group.commands[0] if group.commands else None
            where = f"line {command.line}: {command.text[:100].decode('utf-8', 'replace')}" if command else "greeting"
            self.outcome.failures += [f"{where}\n      {failure}" for failure in failures]


class _GroupCheck:
    """Compares what arrives with what a group expects."""

    def __init__(self, group: Group, variables: Variables, tag: bytes | None, ignore_extra: bool) -> None:
        self.failures: list[str] = []
        self._group = group
        self._variables = variables
        self._tag = tag
        self._ignore_extra = ignore_extra
        self._found = [False] * len(group.expected)
        self._closest: list[tuple[int, str]] = [(-1, "")] * len(group.expected)
        self._extra: list[str] = []

    def untagged(self, reply: Reply) -> None:
        prefix = reply.word in (b"OK", b"NO", b"BAD", b"BYE")
        matched = False
        for place, wanted in enumerate(self._group.expected):
            if self._found[place]:
                continue
            reached = self._with_tag(lambda w=wanted: self._variables.match(w.values, reply.values, prefix=prefix))
            if reached == ALL:
                if wanted.existence is Existence.MUST_NOT:
                    self.failures.append(f"forbidden by `! {render(wanted.values)}`: {render(reply.values)}")
                    return
                self._found[place] = matched = True
            elif reached > self._closest[place][0]:
                self._closest[place] = (reached, render(reply.values))
        if not matched and not self._ignore_extra:
            self._extra.append(render(reply.values))

    def tagged(self, command: Command, reply: Reply) -> None:
        wanted = command.reply or []
        if self._with_tag(lambda: self._variables.match(wanted, reply.values, prefix=True), reply.tag) != ALL:
            self.failures.append(f"expected {render(wanted)!r}, got {render(reply.values)!r}")

    def _with_tag(self, call: Callable[[], int], tag: bytes | None = None) -> int:
        """`$tag` has a value only while replies are compared."""
        tag = tag or self._tag
        if tag is not None:
            self._variables.values[b"tag"] = tag
        try:
            return call()
        finally:
            self._variables.values.pop(b"tag", None)

    def finish(self) -> list[str]:
        for wanted, found, (_, closest) in zip(self._group.expected, self._found, self._closest, strict=True):
            if wanted.existence is Existence.MUST and not found:
                script = render(wanted.values)
                now = self._variables.expand(script.encode(), strict=False).decode("utf-8", "replace")
                self.failures.append(f"missing: {script}\n        now: {now}\n        closest: {closest}")
        if self._extra:
            self.failures.append(f"{len(self._extra)} unexpected untagged replies, the first: {self._extra[0]}")
        return self.failures


def _is_logout(group: Group) -> bool:
    return any(command.text.lower() == b"logout" for command in group.commands)


def _has_body(arguments: bytes) -> bool:
    """Whether an APPEND brings its message itself: mailbox [(flags)] ["date"] literal | CATENATE."""
    try:
        values = parse(arguments)[1:]
    except Malformed:
        return False
    if values and isinstance(values[0], List):
        values = values[1:]
    if values and isinstance(values[0], String) and not values[0].literal:
        values = values[1:]
    if not values or isinstance(values[0], List):
        return False
    first = values[0]
    return (isinstance(first, String) and first.literal) or first.text.upper() == b"CATENATE"


def run_case(path: Path, target: Target) -> Outcome:
    """Read and run one case."""
    return Execution(read(path), target).run()


def summary(outcomes: list[Outcome]) -> list[str]:
    """Totals, for cases and for groups of commands."""
    failed = sum(1 for outcome in outcomes if outcome.failures)
    skipped = sum(1 for outcome in outcomes if outcome.skipped)
    lines = [f"{len(outcomes)} cases: {failed} failed, {skipped} skipped"]
    for title, base in (("base protocol", True), ("extensions", False)):
        mine = [outcome for outcome in outcomes if outcome.case.base is base]
        lines.append(
            f"{title}: {sum(len(outcome.failures) for outcome in mine)} failures"
            f" in {sum(outcome.groups for outcome in mine)} commands"
        )
    return lines


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.compliance.runner", description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path, help="case files, or one of them")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=143)
    options.add_argument("--user", required=True)
    options.add_argument("--password", required=True)
    options.add_argument("--user2", help="a second user, for the cases that need one")
    options.add_argument("--password2")
    options.add_argument("--box", default="imaptest", help="the mailboxes that may be deleted begin with this")
    options.add_argument("--only", action="append", default=[], metavar="NAME")
    options.add_argument("--verbose", action="store_true", help="name the cases that passed as well")
    given = options.parse_args(arguments)
    target = Target(given.host, given.port, given.user, given.password, given.user2, given.password2, given.box)
    outcomes = []
    for path in find(given.folder):
        if given.only and path.name not in given.only:
            continue
        try:
            outcome = run_case(path, target)
        except (BadScript, ConnectionRefusedError) as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            return 2
        outcomes.append(outcome)
        verdict = "FAIL" if outcome.failures else f"skip ({outcome.skipped})" if outcome.skipped else "ok"
        if verdict != "ok" or given.verbose:
            print(f"{path.name}: {verdict}")
        for failure in outcome.failures:
            print(f"    {failure}")
    print("\n".join(summary(outcomes)))
    return 1 if any(outcome.failures for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
