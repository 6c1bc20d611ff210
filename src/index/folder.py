"""An environment's folder on disk: making it, moving it aside, and knowing whether it survived the last boot.

Beside `data.mdb` and `lock.mdb` the folder holds two small files. `boot` has the id of the boot during which the
environment was last opened. `clean` has the number of the last transaction, and exists only while everything up to
that one is on the disk for certain.

Rules that keep it right:
1. A folder appears and goes by rename, whole, under the lock file beside it; its files are never cut or overwritten,
   since other processes have them mapped.
2. LMDB writes without fsync here, so that after a crash of the machine pages of different age may lie in one file: an
   environment is trusted in the boot that wrote it, or when `clean` names its last transaction; else it is dropped.
3. `clean` is removed, durably, before the first transaction that follows it.
"""

import contextlib
import itertools
import os
import shutil
import time

import lmdb

from . import schema
from .errors import IndexDamaged, IndexUnavailable
from .lock import give, take

KEPT = 3
"""Damaged environments kept for a look, per account."""
_serial = itertools.count()
_META = 2 * 4096


def boot_id() -> bytes:
    """What changes with every start of the machine; empty (never trusted) where the kernel does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read().strip()
    except OSError:
        return b""


def open_environment(path: str, map_size: int, *, readonly: bool = False) -> lmdb.Environment:
    """LMDB's open with the settings every process must use alike."""
    return lmdb.open(
        path, map_size=map_size, sync=False, readonly=readonly, mode=0o600, max_readers=1024, max_spare_txns=2
    )


def make(path: str, map_size: int, timeout: float = 10.0) -> None:
    """Make an empty environment at `path`, unless there is one already. IndexUnavailable when that cannot be."""
    fresh = f"{path}.new-{os.getpid()}-{next(_serial)}"
    try:
        guard = take(f"{path}.lock", timeout)
        if guard is None:
            raise IndexUnavailable(f"{path}.lock: held by another process")
        try:
            if os.path.exists(f"{path}/data.mdb"):
                return
            os.mkdir(fresh, 0o700)
            environment = open_environment(fresh, map_size)
            try:
                with environment.begin(write=True) as txn:
                    txn.put(schema.SCHEMA_KEY, schema.sealed(schema.SCHEMA_KEY, schema.MAGIC))
            finally:
                environment.close()
            _write(f"{fresh}/boot", boot_id())
            if os.path.lexists(path):
                leftover = f"{fresh}.leftover"
                os.rename(path, leftover)
                shutil.rmtree(leftover, ignore_errors=True)
            os.rename(fresh, path)
            prune(path)
        finally:
            give(guard)
    except (OSError, lmdb.Error) as problem:
        raise IndexUnavailable(f"{path}: {problem}") from problem
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def move_aside(
    path: str, inode: tuple[int, int] | None = None, *, keep: bool = True, timeout: float = 0.0
) -> str | None:
    """Rename an environment out of the way: its new path, None when it was not done. With `inode` only while
    data.mdb is still that file, so that two processes which notice the same damage move it once. What is not to be
    kept is removed by the next `prune`."""
    aside = f"{path}.{'damaged' if keep else 'gone'}-{time.time_ns()}-{os.getpid()}"
    try:
        guard = take(f"{path}.lock", timeout)
        if guard is None:
            return None
        try:
            if inode is not None:
                now = os.stat(f"{path}/data.mdb")
                if (now.st_dev, now.st_ino) != inode:
                    return None
            os.rename(path, aside)
            return aside
        finally:
            give(guard)
    except OSError:
        return None


def damaged(path: str) -> list[str]:
    """What was moved aside, the oldest first."""
    parent, name = os.path.split(path)
    try:
        entries = os.listdir(parent)
    except OSError:
        return []
    return sorted(f"{parent}/{entry}" for entry in entries if entry.startswith(f"{name}.damaged-"))


def prune(path: str, keep: int = KEPT) -> None:
    """Remove the oldest of what was moved aside, what is not to be kept, and what a killed process left half made an
    hour ago or more."""
    kept = damaged(path)
    for old in kept[: max(len(kept) - keep, 0)]:
        shutil.rmtree(old, ignore_errors=True)
    parent, name = os.path.split(path)
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            half_made = entry.name.startswith(f"{name}.new-") and time.time() - entry.stat().st_mtime > 3600
            if half_made or entry.name.startswith(f"{name}.gone-"):
                shutil.rmtree(entry.path, ignore_errors=True)


def check_size(path: str) -> None:
    """Before LMDB sees it: an empty or cut data file would become a new, empty environment."""
    if os.stat(f"{path}/data.mdb").st_size < _META:
        raise IndexDamaged("data.mdb is cut off within its first pages")


def check_pages(path: str, environment: lmdb.Environment) -> None:
    """A page of the map that the file does not reach kills the process that reads it (SIGBUS)."""
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if os.stat(f"{path}/data.mdb").st_size < needed:
        raise IndexDamaged("data.mdb is shorter than its last transaction")


def check_schema(environment: lmdb.Environment) -> None:
    """The environment is ours, in this format and byte order."""
    with environment.begin() as txn:
        record = txn.get(schema.SCHEMA_KEY)
    if record is None or schema.checked(schema.SCHEMA_KEY, record) != schema.MAGIC:
        raise IndexDamaged("no index of this format and byte order")


def trusted(path: str, environment: lmdb.Environment) -> bool:
    """Whether what the last boot left is known to be whole; then this boot is recorded."""
    boot = boot_id()
    if boot and _read(f"{path}/boot") == boot:
        return True
    if _read(f"{path}/clean") != _clean_text(environment):
        return False
    _write(f"{path}/boot", boot)
    return True


def is_clean(path: str) -> bool:
    """A `clean` file is there: it must go before the next write."""
    return os.path.exists(f"{path}/clean")


def unclean(path: str) -> None:
    """Remove `clean` so that a crash of the machine cannot bring it back."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}/clean")
    _sync_directory(path)


def mark_clean(path: str, environment: lmdb.Environment) -> bool:
    """Bring everything to the disk and write `clean`; False when somebody wrote meanwhile."""
    text = _clean_text(environment)
    if _read(f"{path}/clean") == text:
        return True
    environment.sync(True)
    fresh = _new_file(f"{path}/clean", text, durable=True)
    try:
        # The write transaction keeps other writers out while the name is given; it changes nothing itself.
        txn = environment.begin(write=True)
        try:
            if _clean_text(environment) != text:
                return False
            os.rename(fresh, f"{path}/clean")
        finally:
            txn.abort()
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
    _sync_directory(path)
    return True


def _clean_text(environment: lmdb.Environment) -> bytes:
    return b"%d\n" % environment.info()["last_txnid"]


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(200)
    except OSError:
        return None


def _write(path: str, data: bytes) -> None:
    """Replace a small file; whether it outlives the machine's crash does not matter here."""
    os.rename(_new_file(path, data, durable=False), path)


def _new_file(path: str, data: bytes, *, durable: bool) -> str:
    fresh = f"{path}.{os.getpid()}-{next(_serial)}"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return fresh


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
