"""What one IMAP connection knows: who is logged in, what is selected, what was enabled.

Rules that keep it right:

1. The state of RFC 3501 3 follows from what is there (no account, no view, a view); it is kept nowhere else.
2. The engine writes `secure`, LOGIN and AUTHENTICATE the account, SELECT and its kin the view; everything else reads.
3. News of the selected mailbox leave through `news` alone, at the end of a command or in IDLE, so that a sequence
   number never changes its meaning under a command that uses it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...account.updates import Exists, Expunge, FlagsChanged, KeywordsChanged, Vanished
from ...model.errors import ProtocolFault
from ..engine import Blocking, Greeting
from ..framing import Framer
from . import responses, rows
from .capabilities import Capabilities
from .command import Part, State
from .responses import OK, Response, Status
from .types import SequenceSet

if TYPE_CHECKING:
    from ...account.account import Account
    from ...account.view import View
    from .bodies import Remembered

class Session:
    """See the module."""

    __slots__ = (
        "account", "capabilities", "condstore", "failures", "flags", "framer", "greeting", "leaving", "qresync",
        "remembered", "secure", "tag", "view", "wake", "woken",
    )

    def __init__(
        self, greeting: Greeting, framer: Framer, capabilities: Capabilities, wake: Callable[[], None]
    ) -> None:
        self.greeting = greeting
        self.capabilities = capabilities
        self.framer = framer
        self.wake = wake
        """Given to a view: the mailbox changed."""
        self.woken = False
        """It was called since the last look at the mailbox."""
        self.secure = greeting.tls
        self.account: Account | None = None
        self.view: View | None = None
        self.condstore = False
        """Mod-sequences are told with every change of flags (RFC 7162 3.1)."""
        self.qresync = False
        self.failures = 0
        """Logins that failed."""
        self.tag = b"*"
        """Of the running command."""
        self.leaving = False
        """LOGOUT was given."""
        self.flags = rows.FlagNames(())
        self.remembered: Remembered | None = None
        """The structure of the large message that was read last."""

    # --- before login -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """RFC 3501 3"""
        if self.account is None:
            return State.NOT_AUTHENTICATED
        return State.AUTHENTICATED if self.view is None else State.SELECTED

    @property
    def cleartext(self) -> bool:
        """A password may be sent as it is."""
        return self.secure or self.greeting.cleartext

    @property
    def starttls(self) -> bool:
        """STARTTLS may come now."""
        return self.greeting.starttls and not self.secure and self.account is None

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms that may be used now."""
        began = self.secure and not self.greeting.tls
        return self.greeting.mechanisms_tls if began else self.greeting.mechanisms

    # --- after login ------------------------------------------------------------------------------------------------

    @property
    def user(self) -> "Account":
        """The account of a command that needs one; the command table promises it is there."""
        if self.account is None:
            raise ProtocolFault("Log in first")
        return self.account

    @property
    def selected(self) -> "View":
        """The view of a command that needs one; the command table promises it is there."""
        if self.view is None:
            raise ProtocolFault("Select a mailbox first")
        return self.view

    def enter(self, view: "View") -> None:
        """A mailbox is selected now."""
        self.view = view
        view.qresync = self.qresync
        self.flags = rows.FlagNames(view.keywords)

    def leave(self) -> None:
        """No mailbox is selected now."""
        view, self.view = self.view, None
        self.forget()
        self.woken = False
        if view is not None:
            view.close()

    def forget(self) -> None:
        """Drop what is remembered of the message that was read last."""
        remembered, self.remembered = self.remembered, None
        if remembered is not None:
            remembered.close()

    def resolve(self, numbers: SequenceSet, by_uid: bool) -> list[int]:
        """The UIDs that a client's set names, ascending. RFC 3501 9, seq-number: one that is not there is BAD."""
        view = self.selected
        if not by_uid and not view.exists and all(run in _WHOLE for run in numbers.runs):
            return []  # `1:*` of an empty mailbox is asked by too many clients to call it an error
        try:
            return view.resolve(numbers.runs, by_uid)
        except ValueError:
            raise ProtocolFault(f"Sequence numbers go up to {view.exists} here") from None

    # --- news of the selected mailbox -------------------------------------------------------------------------------

    def catch_up(self) -> Part:
        """Bring the view in step with the store when somebody else may have changed it."""
        view = self.view
        self.woken = False
        if view is not None and view.stale and not view.gone:
            yield Blocking(view.sync, self.user.key)

    def news(self, expunges: bool) -> Part:
        """What changed in the selected mailbox since the client was last told."""
        view = self.view
        while view is not None and not view.gone and view.pending:
            updates = view.updates(expunges)
            for update in updates:
                match update:
                    case FlagsChanged(seq, uid, flags, modseq, recent):
                        yield self.changed_row(seq, uid, flags, modseq, recent)
                    case Expunge(seq):
                        yield responses.Expunge(seq)
                    case Vanished(uids):
                        yield responses.Vanished(uids)
                    case Exists(count, recent_count):
                        yield responses.Exists(count)
                        yield responses.Recent(recent_count)
                    case KeywordsChanged(names):
                        self.flags = rows.FlagNames(names)
                        yield from self.flag_names()
            if not any(isinstance(update, FlagsChanged) for update in updates):
                return

    def changed_row(self, seq: int, uid: int, flags: int, modseq: int, recent: bool, with_uid: bool = False) -> bytes:
        """A FETCH response that tells a message's flags; with the mod-sequence once the client knows of those
        (RFC 7162 3.2), with the UID under QRESYNC (RFC 7162 3.2.4)."""
        names = self.flags[flags | rows.RECENT if recent else flags]
        uid_item = b"UID %d " % uid if with_uid or self.qresync else b""
        modseq_item = b" MODSEQ (%d)" % modseq if self.condstore else b""
        return b"* %d FETCH (%bFLAGS (%b)%b)\r\n" % (seq, uid_item, names, modseq_item)

    def mask(self, uid: int, flags: int) -> int:
        """A message's flags as they are to be named, \\Recent among them."""
        view = self.selected
        return flags | rows.RECENT if view.recent and view.is_recent(uid) else flags

    def flag_names(self) -> "list[Response]":
        """FLAGS and PERMANENTFLAGS of the selected mailbox."""
        view = self.selected
        names = (*rows.SYSTEM_NAMES, *rows.sayable(view.keywords))
        if view.readonly:
            permanent: tuple[str, ...] = ()
        else:
            permanent = names if view.keywords_full else (*names, "\\*")
        return [
            responses.Flags(names),
            Status(OK, "Read-only mailbox" if view.readonly else "Flags permitted",
                   f"PERMANENTFLAGS ({' '.join(permanent)})"),
        ]

    def enable_condstore(self) -> Part:
        """A CONDSTORE enabling command (RFC 7162 3.1): the first one tells where the mailbox stands."""
        if not self.condstore:
            self.condstore = True
            if self.view is not None:
                yield Status(OK, "Highest", f"HIGHESTMODSEQ {self.view.highestmodseq}")

    def end(self) -> None:
        """The connection is over."""
        self.leave()
        self.account = None


_WHOLE = frozenset(((1, None), (None, 1), (None, None)))
