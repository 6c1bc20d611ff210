"""New UIDVALIDITY values, counted as Dovecot counts them in the root of the mail store.

`dovecot-uidvalidity` holds the last value given out as 8 hexadecimal digits; an empty file
`dovecot-uidvalidity.<value>` beside it is renamed to the next value, and whoever succeeds in that has the value for
itself, without a lock. The first of the two files is only a hint where the second one is.

Rules that keep it right:
1. A value is used only after its rename is on the disk, so that no pair of name and UIDVALIDITY comes twice.
2. Where there is no file yet, counting begins with the time; a value that came from elsewhere is never met again,
   since the counter is moved past it (`above`).
"""

import contextlib
import os
import time

from ...model.errors import Kind, MailError
from .. import durable

NAME = b"dovecot-uidvalidity"
_TRIES = 20
_MAX = 0xFFFFFFFF


def next_uidvalidity(root: bytes, mode: int, above: int = 0) -> int:
    """A value larger than `above` that was never given out in this store."""
    for _ in range(_TRIES):
        last = hint = _hinted(root)
        if hint is None or not os.path.lexists(_marker(root, hint)):
            last = _found(root)
        if last is None:
            value = max(int(time.time()), above + 1, (hint or 0) + 1)
            if not _begin(root, value):
                continue
        else:
            value = max(last, above) + 1
            if value > _MAX:
                break
            try:
                durable.rename(_marker(root, last), _marker(root, value), "uidvalidity-rename")
            except FileNotFoundError:
                continue
        durable.dirsync(root)
        _hint(root, value, mode)
        return value
    raise MailError(Kind.UNAVAILABLE, "No new UIDVALIDITY can be had")


def pass_over(root: bytes, mode: int, value: int) -> None:
    """Make sure that no value up to this one is given out again."""
    last = _found(root)
    if last is None or last < value:
        next_uidvalidity(root, mode, max(value - 1, 0))


def _marker(root: bytes, value: int) -> bytes:
    return os.path.join(root, NAME + b".%08x" % value)


def _hinted(root: bytes) -> int | None:
    with contextlib.suppress(OSError), open(os.path.join(root, NAME), "rb") as file:
        return _hexadecimal(file.read(8))
    return None


def _hexadecimal(text: bytes) -> int | None:
    if not text or len(text) > 8 or text.strip(b"0123456789abcdefABCDEF"):
        return None
    return int(text, 16) or None


def _found(root: bytes) -> int | None:
    """The highest marker; others are removed, as Dovecot does."""
    prefix = NAME + b"."
    values = {
        value for name in os.listdir(root) if name.startswith(prefix) and (value := _hexadecimal(name[len(prefix) :]))
    }
    for value in values - {max(values, default=0)}:
        durable.discard(_marker(root, value))
    return max(values, default=None)


def _begin(root: bytes, value: int) -> bool:
    try:
        os.close(durable.create(_marker(root, value), 0o444))
    except FileExistsError:
        return False
    return True


def _hint(root: bytes, value: int, mode: int) -> None:
    """The file whose content Dovecot looks at first. Without it the markers are looked for."""
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(os.path.join(root, NAME), flags, mode)
        try:
            durable.write(descriptor, b"%08x" % value, "uidvalidity-write")
        finally:
            os.close(descriptor)
