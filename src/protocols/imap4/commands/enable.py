"""ENABLE (RFC 5161): CONDSTORE and QRESYNC can be enabled; every other name is ignored, as it has to be."""

from ..command import LOGGED_IN, Command, Run
from ..reader import Reader
from ..responses import OK, Enabled, Status
from ..session import Session


def parse(reader: Reader) -> frozenset[bytes]:
    """enable = "ENABLE" 1*(SP capability)"""
    names = {reader.word("a capability")}
    while not reader.at_end():
        reader.sp()
        if not reader.at_end():
            names.add(reader.word("a capability"))
    return frozenset(names)


def run(session: Session, names: frozenset[bytes]) -> Run:
    """RFC 7162 3.2.3: QRESYNC implies CONDSTORE."""
    enabled = []
    if names & {b"CONDSTORE", b"QRESYNC"} and not session.condstore:
        yield from session.enable_condstore()
        enabled.append("CONDSTORE")
    if b"QRESYNC" in names and not session.qresync:
        session.qresync = True
        if session.view is not None:
            session.view.qresync = True
        enabled.append("QRESYNC")
    yield Enabled(tuple(enabled))
    return Status(OK, "Enabled")


COMMAND = Command("ENABLE", LOGGED_IN, parse, run, capabilities=("ENABLE",), early=True)
