"""A helper process: takes pickled jobs from its owner over a socket, one at a time, and answers each.

It computes what would starve the owner's reactor, and reads what may be hostile: it is nice to others, its memory is
bounded, and it dies with its owner. Both ends run as the same user and load the same code, so pickle is no border.

A frame is four octets of length and a pickle. To the helper: the `Setup` first, then tasks. From it: (ok, value,
reports, last), where the value of a failure is the exception, or its text when that cannot be pickled, the reports
are what the runner noticed by the way, and `last` says that it has grown too large and ends.
"""

import importlib
import os
import pickle
import resource
import signal
import socket
import struct
import traceback
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .process import resident

Runner = Callable[[Any], tuple[Any, list[Any]]]

HEAD = struct.Struct(">I")
NICE = 5
ACCOUNTS = 4
"""Accounts that stay open in a helper."""
DATA_LIMIT = 2**30
"""Octets of memory above which an allocation fails."""
RECYCLE = 256 * 2**20
"""Octets above which a helper says that this was its last job; its owner starts another when there is work."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Which function runs the tasks, and what it gets before the first."""

    runner: str
    """`package.module:function`; called once with `argument`, gives the function that runs one task and returns its
    value and a list of reports."""
    argument: Any = None


class HelperFailed(Exception):
    """A job raised something that cannot travel; the text is its traceback."""


def read_frame(link: socket.socket) -> bytes | None:
    """One frame; None when the other end has gone."""
    head = _read(link, HEAD.size)
    if head is None:
        return None
    return _read(link, HEAD.unpack(head)[0])


def _read(link: socket.socket, size: int) -> bytes | None:
    parts = bytearray(size)
    view = memoryview(parts)
    while view:
        got = link.recv_into(view)
        if not got:
            return None
        view = view[got:]
    return bytes(parts)


def accounts_runner(environments: tuple[int, int]) -> Runner:
    """Runs account jobs (account/jobs.py) on a few accounts that stay open. Takes the limit of open environments and
    their map size."""
    from ..account.account import Account
    from ..index.env import Environments

    registry = Environments(*environments)
    opened: OrderedDict[Any, Account] = OrderedDict()

    def run(job: Any) -> tuple[Any, list[Any]]:
        account = opened.pop(job.spec, None)
        if account is None:
            account = Account(job.spec, None, None, registry)
        try:
            return job.run(account), account.drain_reports()
        finally:
            opened[job.spec] = account
            while len(opened) > ACCOUNTS:
                opened.popitem(last=False)[1].release()

    return run


def hash_runner(argument: Any) -> Runner:
    """Runs what the auth process wants computed (auth/passwords.py)."""
    return lambda job: (job.run(), [])


def answer(run: Runner, task: bytes) -> bytes:
    """The frame that answers a task."""
    try:
        value, reports = run(pickle.loads(task))  # noqa: S301 - both ends are ours
        return framed((True, value, reports, resident() > RECYCLE))
    except BaseException as error:  # the owner decides what it means
        last = resident() > RECYCLE
        try:
            travelling = framed((False, error, [], last))
            pickle.loads(travelling[HEAD.size :])  # noqa: S301 - made in the line above
        except Exception:
            return framed((False, HelperFailed("".join(traceback.format_exception(error))[-4000:]), [], last))
        return travelling


def framed(value: Any) -> bytes:
    """A frame."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return HEAD.pack(len(data)) + data


def main(descriptor: int) -> None:
    """Runs until the owner is gone; `descriptor` is the socket to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_LIMIT, DATA_LIMIT))
    link = socket.socket(fileno=descriptor)
    link.setblocking(True)
    first = read_frame(link)
    if first is None:
        return
    setup: Setup = pickle.loads(first)  # noqa: S301 - both ends are ours
    module, _, function = setup.runner.partition(":")
    run = getattr(importlib.import_module(module), function)(setup.argument)
    while True:
        task = read_frame(link)
        if task is None:
            return
        link.sendall(answer(run, task))
