"""What crashes leave, and removing it: drafts of mailboxes, deleted ones, spools and kept files of dead processes."""

import contextlib
import os
import re
import time
from collections.abc import Sequence

from .. import durable
from ..layout import Layout

_HOUR = 3600
_OLD = 36 * _HOUR
"""Age at which a file in tmp/ is nobody's any more (as in Dovecot)."""
_SPOOL = re.compile(rb"[0-9]+\.M[0-9]+P([0-9]{1,9})Q[0-9]+\.(.*)")
_KEPT = re.compile(rb"culverhouse-([0-9]{1,9})-[0-9]+")
_REMEMBERED = 10_000
_cleaned: dict[bytes, float] = {}
"""When this process last looked in which root."""


def is_due(root: bytes) -> bool:
    """Whether a root should be looked through again; once in an hour it should."""
    now = time.monotonic()
    if now - _cleaned.get(root, -_HOUR) < _HOUR:
        return False
    if len(_cleaned) >= _REMEMBERED:
        _cleaned.clear()
    _cleaned[root] = now
    return True


def clean(layout: Layout, names: Sequence[bytes]) -> None:
    """Look through the root, which holds these names, and all mailboxes."""
    limit = time.time() - _HOUR
    for name in names:
        path = os.path.join(layout.root, name)
        if name.startswith((b"temp.", b".temp.")) and _changed(path) < limit:
            drop(path)
    for relative in (b"", *(found.relative for found in layout.walk() if found.selectable)):
        with contextlib.suppress(OSError):
            clean_tmp(os.path.join(layout.path(relative), b"tmp"))


def drop(path: bytes) -> None:
    """Remove a file or a directory that nobody sees, as well as can be."""
    if os.path.isdir(path) and not os.path.islink(path):
        with contextlib.suppress(OSError):
            durable.remove_tree(path)
    else:
        durable.discard(path)


def clean_tmp(path: bytes) -> None:
    """Remove files of processes that are dead, and others that are too old to become messages."""
    limit = time.time() - _OLD
    for name in os.listdir(path):
        found = _KEPT.fullmatch(name) or _SPOOL.fullmatch(name)
        file = os.path.join(path, name)
        ours = found is not None and (found.re is _KEPT or found[2].startswith(durable.HOST.encode()))
        if (ours and found is not None and not _runs(int(found[1]))) or _changed(file) < limit:
            durable.discard(file)


def _runs(process: int) -> bool:
    return os.path.isdir(f"/proc/{process}") or not os.path.isdir("/proc/self")


def _changed(path: bytes) -> float:
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return time.time()
