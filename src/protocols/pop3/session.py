"""What one POP3 connection is: its channel, who has logged in, and the maildrop that was opened for them.

Rules that keep it right: the state follows from what is there (no account: AUTHORIZATION, else TRANSACTION) and is
never kept beside it; what may be offered depends on the channel as it is now; after TLS began nothing is left of what
the client said before (RFC 2595 4).
"""

from typing import TYPE_CHECKING

from ..engine import Greeting
from .commands import AUTHORIZATION, TRANSACTION
from .maildrop import Maildrop

if TYPE_CHECKING:
    from ...account.account import Account


class Session:
    """One connection's state, which commands read and change."""

    def __init__(self, greeting: Greeting) -> None:
        self.greeting = greeting
        self.secure = greeting.tls
        self.user: bytes | None = None
        """What USER said, until PASS."""
        self.drop: Maildrop | None = None
        self.failures = 0
        """Logins that failed."""

    @property
    def state(self) -> int:
        """AUTHORIZATION or TRANSACTION."""
        return AUTHORIZATION if self.drop is None else TRANSACTION

    @property
    def maildrop(self) -> Maildrop:
        """The maildrop of the TRANSACTION state."""
        assert self.drop is not None, "only commands of the TRANSACTION state ask"  # noqa: S101 - the table's promise
        return self.drop

    @property
    def account(self) -> "Account":
        """Who has logged in."""
        return self.maildrop.account

    @property
    def cleartext(self) -> bool:
        """A password may be sent as it is."""
        return self.secure or self.greeting.cleartext

    @property
    def starttls(self) -> bool:
        """STLS may come now."""
        return self.greeting.starttls and not self.secure and self.drop is None

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms that may be used now."""
        began = self.secure and not self.greeting.tls
        return self.greeting.mechanisms_tls if began else self.greeting.mechanisms

    def tls_began(self) -> None:
        """Forget what came in the clear."""
        self.secure = True
        self.user = None

    def end(self) -> None:
        """The connection is over."""
        if self.drop is not None:
            self.drop.close()

    def capabilities(self) -> list[bytes]:
        """The lines of CAPA's answer."""
        names = [b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING"]
        if self.cleartext:
            names.append(b"USER")
        if self.mechanisms:
            names.append(b"SASL " + " ".join(self.mechanisms).encode("ascii"))
        if self.starttls:
            names.append(b"STLS")
        names.append(b"IMPLEMENTATION Culverhouse")
        return names
