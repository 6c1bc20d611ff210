"""The lock of one mailbox's POP3 session: an flock, so that it dies with its process (RFC 1939 8)."""

import contextlib
import fcntl
import os

from ..model.errors import Kind, MailError


class MaildropLock:
    """Held from its making until `release`."""

    def __init__(self, path: str) -> None:
        """MailError(INUSE) when another session has it."""
        try:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise MailError(Kind.UNAVAILABLE, "The maildrop cannot be locked at the moment") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise MailError(Kind.INUSE, "Another POP3 session has this maildrop") from error
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Give it up; harmless when repeated."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
