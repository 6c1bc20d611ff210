"""The runner itself: it must fail where a server errs, and pass where a real Dovecot stands."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.differential.dovecot import Dovecot, reachable_folder

from .matching import ALL, Variables
from .mbox import Source
from .runner import Outcome, Target, main, run_case
from .script import BadScript, Existence, read
from .test_imaptest_scripts import CASES
from .values import Malformed, parse

MBOX = "From a@b  Fri Feb 22 17:06:23 2008\nSubject: one\n\nbody\n"


def expect(script: str, tmp_path: Path) -> list:  # type: ignore[type-arg]
    """The values of the first expected reply of a case."""
    path = write(tmp_path, f"state: auth\n\nok x\n* {script}\n")
    return read(path).groups[0].expected[0].values


def write(folder: Path, text: str, name: str = "case") -> Path:
    (folder / "default.mbox").write_text(MBOX)
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("wanted", "got", "matches"),
    [
        ("1 fetch (uid 5)", b"1 FETCH (UID 5)", True),
        ("1 fetch (uid 5)", b"1 FETCH (FLAGS () UID 5)", True),
        ("1 fetch (uid 5)", b"1 FETCH (UID 6)", False),
        ("1 fetch (uid 5)", b"2 FETCH (UID 5)", False),
        ("1 fetch (flags (\\seen))", b"1 FETCH (FLAGS (\\Recent \\Seen))", True),
        ("1 fetch (flags (\\seen))", b"1 FETCH (FLAGS (\\Seen \\Deleted))", False),
        ("1 fetch (flags (\\seen))", b"1 FETCH (FLAGS ())", False),
        ("1 fetch (flags ($!extra))", b"1 FETCH (FLAGS ())", True),
        ("1 fetch (flags ($!unordered $!ban=\\seen))", b"1 FETCH (FLAGS (\\Seen))", False),
        ("list () \"/\" a", b'LIST (\\HasNoChildren) "/" "a"', True),
        ("list (\\noselect) \"/\" a", b'LIST (\\HasNoChildren) "/" a', False),
        ("list () $ ${case:INBOX/Sent}", b'LIST () "/" INBOX/SENT', False),
        ("list () $ ${case:INBOX/Sent}", b'LIST () "/" INBOX/Sent', True),
        ("status a (messages 1)", b"STATUS a (UNSEEN 0 MESSAGES 1)", True),
        ("status a (messages 1)", b"STATUS a (UNSEEN 1 MESSAGES 0)", False),
        ("ok [uidnext 5]", b"OK [UIDNEXT 5] Predicted", True),
        ("ok [uidnext 5]", b"OK [UIDNEXT 55] Predicted", False),
        ("ok [capability $]", b"OK [CAPABILITY IMAP4rev1 IDLE] ready", True),
        ("1 fetch (envelope $)", b"1 FETCH (ENVELOPE (NIL NIL))", True),
        ("1 fetch (envelope nil)", b"1 FETCH (ENVELOPE (NIL))", False),
        ("1 fetch (body[header.fields (date)] {{{\nx\n}}})", b"1 FETCH (BODY[HEADER.FIELDS (DATE)] {1}\r\nx)", True),
        ("1 fetch (body[header.fields (date)] {{{\nx\n}}})", b"1 FETCH (BODY[HEADER.FIELDS (DATE)] {1}\r\ny)", False),
        ("search 1 2", b"SEARCH 1 2 3", False),
        ("search", b"SEARCH", True),
    ],
)
def test_matching(wanted: str, got: bytes, matches: bool, tmp_path: Path) -> None:
    prefix = got.startswith(b"OK")
    assert (Variables().match(expect(wanted, tmp_path), parse(got), prefix=prefix) == ALL) is matches


def test_variables_are_taken_once_and_given_back_after_a_mismatch(tmp_path: Path) -> None:
    variables = Variables()
    pattern = expect("1 fetch (uid $uid flags (\\seen))", tmp_path)
    assert variables.match(pattern, parse(b"1 FETCH (UID 7 FLAGS ())"), prefix=False) != ALL
    assert b"uid" not in variables.values
    assert variables.match(pattern, parse(b"1 FETCH (UID 8 FLAGS (\\Seen))"), prefix=False) == ALL
    assert variables.values[b"uid"] == b"8"
    assert variables.match(pattern, parse(b"1 FETCH (UID 9 FLAGS (\\Seen))"), prefix=False) != ALL
    assert variables.expand(b"x ${uid}y $$5") == b"x 8y $5"


def test_relative_sequence_numbers_follow_expunges() -> None:
    variables = Variables()
    variables.sequence = [1, 2, 3]
    variables.expunged(2)
    assert [variables.relative(n) for n in (1, 2, 3, 4)] == [b"1", b"<expunged>", b"2", b"<out of range>"]


def test_modseq_variables_must_grow(tmp_path: Path) -> None:
    variables = Variables()
    for text, good in ((b"10", True), (b"12", False)):
        name = b"modseq2" if good else b"modseq5"
        reached = variables.match(parse(b"x $%b" % name), parse(b"x %b" % text), prefix=False)
        assert (reached == ALL) is good


@pytest.mark.parametrize(
    "text",
    ["state: nowhere\n\nok x\n", "connections: 2\n\nok x\n", "\nselect x\n", "\nok x\n* a ($!wrong)\n", "\nok {{{\n",
     "\nok x", "\n!ifenv A\nok x\n", "\n1 ok x\n* 1 fetch (uid)\n"],
)  # fmt: skip
def test_a_wrong_case_is_an_error_and_no_pass(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadScript):
        read(write(tmp_path, text))


def test_environment_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "\n!ifenv CASE_ENV\nok a\n!else\nok b\n!endif\nok c\n")
    assert [group.commands[0].text for group in read(path).groups] == [b"b", b"c", b"logout"]
    monkeypatch.setenv("CASE_ENV", "1")
    assert [group.commands[0].text for group in read(path).groups] == [b"a", b"c", b"logout"]


def test_expected_replies_keep_their_kind(tmp_path: Path) -> None:
    groups = read(write(tmp_path, "\nok x\n* 1 exists\n! 2 exists\n? 3 exists\n")).groups
    assert [wanted.existence for wanted in groups[0].expected] == list(Existence)


def test_the_mbox_source_wraps_around(tmp_path: Path) -> None:
    write(tmp_path, "\nok x\n")
    source = Source(tmp_path / "default.mbox")
    assert source.next() == source.next() == (b"Subject: one\r\n\r\nbody\r\n", "22-Feb-2008 17:06:23 +0000")


def test_parsing_refuses_what_is_no_reply() -> None:
    for text in (b'"open', b"(open", b"{5}\r\nabc"):
        with pytest.raises(Malformed):
            parse(text)


def scripted_server(answer: Callable[[bytes, bytes], list[bytes]]) -> int:
    """A server that takes one connection and says what `answer` makes of (tag, command)."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer, peer.makefile("rb") as lines:
            peer.sendall(b"* OK [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n")
            for line in lines:
                tag, _, command = line.rstrip().partition(b" ")
                peer.sendall(b"".join(line + b"\r\n" for line in answer(tag, command)))

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]  # type: ignore[no-any-return]


def outcome_of(script: str, tmp_path: Path, said: dict[bytes, list[bytes]]) -> Outcome:
    def answer(tag: bytes, command: bytes) -> list[bytes]:
        if command == b"logout":
            return [b"* BYE", tag + b" OK bye"]
        return [line.replace(b"TAG", tag) for line in said[command]]

    path = write(tmp_path, f"state: nonauth\n{script}")
    return run_case(path, Target("127.0.0.1", scripted_server(answer), "u", "p"))


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ([b"* 1 EXISTS", b"TAG OK done"], ""),
        ([b"* 2 EXISTS", b"TAG OK done"], "missing: 1 exists"),
        ([b"TAG OK done"], "missing: 1 exists"),
        ([b"* 1 EXISTS", b"TAG NO sorry"], "expected 'ok'"),
        ([b"* 1 EXISTS", b"* 1 RECENT", b"TAG OK done"], "forbidden"),
        ([b"* 1 EXISTS", b"* 0 EXISTS", b"TAG OK done"], "without EXPUNGE"),
        ([b"* 1 EXISTS", b"* 5 EXPUNGE", b"TAG OK done"], "EXPUNGE of 5"),
        ([b"* 1 EXISTS", b"* 1 FETCH (UID 5)", b"* 1 FETCH (UID 6)", b"TAG OK done"], "had UID 5"),
        ([b'* LIST ("', b"TAG OK done"], "malformed"),
    ],
)
def test_a_server_that_errs_is_found_out(said: list[bytes], failure: str, tmp_path: Path) -> None:
    outcome = outcome_of("\nok look\n* 1 exists\n! 1 recent\n", tmp_path, {b"look": said})
    if failure:
        assert any(failure in text for text in outcome.failures), outcome.failures
    else:
        assert not outcome.failures


def test_extra_replies_can_be_forbidden(tmp_path: Path) -> None:
    said = {b"look": [b"* 1 EXISTS", b"* 1 RECENT", b"TAG OK done"]}
    script = "ignore_extra_untagged: no\n\nok look\n* 1 exists\n"
    assert any("unexpected" in text for text in outcome_of(script, tmp_path, said).failures)


def test_a_missing_capability_is_a_skip_with_its_name(tmp_path: Path) -> None:
    outcome = outcome_of("capabilities: LITERAL+ FROBNICATE\n\nok look\n", tmp_path, {})
    assert outcome.skipped == "no FROBNICATE"
    assert not outcome.failures


def test_dovecot_passes_every_case(capsys: pytest.CaptureFixture[str]) -> None:
    """A case that Dovecot fails would be a fault of the runner: the cases were written beside it."""
    if not CASES:
        pytest.skip("imaptest's cases are not there")
    with reachable_folder() as folder, Dovecot(folder / "mail", ("alice", "bob")) as dovecot:
        arguments = [str(CASES[0].parent), "--port", str(dovecot.imap_port), "--user", "alice", "--password", "secret"]
        status = main([*arguments, "--user2", "bob"])
    told = capsys.readouterr().out
    assert status == 0, told
    assert "base protocol: 0 failures" in told
    assert "0 failed" in told
