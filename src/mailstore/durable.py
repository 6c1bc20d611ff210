"""The only code that changes a mail store's files: every write, fsync, rename, link and unlink goes through here.

Rules that keep it right:
1. `step` is called with the step's name before each change. The server leaves it alone; the crash tests replace it,
   to kill the process or to let the disk fail at exactly that place.
2. Nothing half-written keeps its final name: a file is written under a temporary name, synced, then renamed; what
   was appended and could not be finished is cut off again.
3. Every OSError becomes a MailError on its way out (`answered`); the path stays in the exception's cause.
"""

import contextlib
import errno
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator

from ..model.errors import Kind, MailError


def _on(_step: str) -> None:
    """Go on."""


step: Callable[[str], None] = _on
"""Called before each step that changes the disk."""

_KINDS = {
    errno.ENOSPC: (Kind.OVERQUOTA, "No space left for mail"),
    errno.EDQUOT: (Kind.OVERQUOTA, "Quota exceeded"),
    errno.EFBIG: (Kind.OVERQUOTA, "The message is larger than the file system takes"),
    errno.EACCES: (Kind.NOPERM, "Permission denied"),
    errno.EPERM: (Kind.NOPERM, "Permission denied"),
    errno.EROFS: (Kind.NOPERM, "The mail store is read-only"),
    errno.ENAMETOOLONG: (Kind.CANNOT, "The name is too long"),
}

HOST = socket.gethostname()
_serial = itertools.count()


def refusal(error: OSError) -> MailError:
    """What the client is told of a failed call; the caller raises it `from error`."""
    kind, text = _KINDS.get(error.errno or 0, (Kind.UNAVAILABLE, "The mail store failed, try again later"))
    return MailError(kind, text)


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """OSErrors of the block become MailErrors."""
    try:
        yield
    except OSError as error:
        raise refusal(error) from error


def temporary(directory: bytes) -> bytes:
    """A path in `directory` that nobody uses. Dovecot knows the prefix and leaves such names out of its lists."""
    name = f"temp.{_tame(HOST)}.{os.getpid()}.{time.time_ns() // 1000}.{next(_serial)}"
    return os.path.join(directory, os.fsencode(name))


def _tame(host: str) -> str:
    return host.replace("/", "_").replace(":", "_")


# -- one file --------------------------------------------------------------------------------------------------------


def create(path: bytes, mode: int) -> int:
    """A new file, open for writing; fails when the name exists, also as a link."""
    step("create")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
    except OSError:
        os.close(descriptor)
        os.unlink(path)
        raise
    return descriptor


def write(descriptor: int, data: bytes | memoryview, name: str = "write") -> None:
    """All of `data`."""
    step(name)
    written = os.write(descriptor, data)
    if written < len(data):
        view = memoryview(data)
        while written < len(view):
            written += os.write(descriptor, view[written:])


def sync(descriptor: int, name: str = "fsync") -> None:
    """The file's content and size are on the disk."""
    step(name)
    os.fsync(descriptor)


def dirsync(*directories: bytes) -> None:
    """The names in these directories are on the disk."""
    for directory in dict.fromkeys(directories):
        step("dirsync")
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def append(path: bytes, data: bytes, size: int, name: str) -> os.stat_result:
    """Append to a file of that size and sync it; when that fails the file is cut back. The file's new state."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            write(descriptor, data, f"{name}-append")
            sync(descriptor, f"{name}-fsync")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def replace(path: bytes, data: bytes, mode: int, name: str, *, mtime: int | None = None, hidden: str = "") -> None:
    """Write a whole file durably in the place of an old one, or of none. `mtime` (seconds) is given to the new file;
    `hidden` begins the temporary name."""
    directory = os.path.dirname(path)
    draft = temporary(directory)
    if hidden:
        draft = os.path.join(directory, os.fsencode(hidden) + os.path.basename(draft))
    try:
        descriptor = create(draft, mode)
        try:
            write(descriptor, data, f"{name}-write")
            if mtime is not None:
                os.utime(descriptor, (mtime, mtime))
            sync(descriptor, f"{name}-fsync")
        finally:
            os.close(descriptor)
        rename(draft, path, f"{name}-rename")
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    dirsync(directory)


# -- names -----------------------------------------------------------------------------------------------------------


def rename(old: bytes, new: bytes, name: str = "rename") -> None:
    """Takes the place of what `new` named; not durable before `dirsync`."""
    step(name)
    os.rename(old, new)


def link(old: bytes, new: bytes, name: str = "link") -> None:
    """A second name for a file."""
    step(name)
    os.link(old, new, follow_symlinks=False)


def unlink(path: bytes, name: str = "unlink") -> bool:
    """Remove a name; False when it was gone."""
    step(name)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def discard(path: bytes) -> None:
    """Remove what was never visible, as well as can be: a disk that failed once is asked once more, since a lock
    that stays makes others wait."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            unlink(path)
            return


def make_directory(path: bytes, mode: int) -> None:
    """A new directory with exactly that mode."""
    step("mkdir")
    os.mkdir(path, mode)
    os.chmod(path, mode)


def remove_directory(path: bytes) -> None:
    """Remove a directory if it is empty."""
    step("rmdir")
    os.rmdir(path)


def remove_tree(path: bytes) -> None:
    """Remove a directory that is no mailbox any more, with all that is in it; links in it are not followed."""
    pending = [path]
    emptied = []
    while pending:
        directory = pending.pop()
        emptied.append(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    unlink(entry.path)
    for directory in reversed(emptied):
        remove_directory(directory)
