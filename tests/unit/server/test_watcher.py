"""What other programs do to folders: seen by inotify, or by polling."""

import errno
import os
import select
from pathlib import Path
from typing import Any

import pytest

from culverhouse.server import watcher as module
from culverhouse.server.events import EventLog
from culverhouse.server.watcher import FolderWatcher


class Inline:
    """An offload that runs at once."""

    def run(self, call: Any, key: Any, done: Any) -> None:
        done(call(), None)


class Scene:
    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.lines: list[bytes] = []
        self.watcher = FolderWatcher(reactor, Inline(), EventLog("t", write=self.lines.append))  # type: ignore[arg-type]
        self.told: list[frozenset[bytes] | None] = []

    def settle(self) -> list[frozenset[bytes] | None]:
        while self.watcher.fileno() >= 0 and select.select([self.watcher], [], [], 0)[0]:
            self.watcher.doRead()
        self.reactor.advance(0.01)
        told = list(self.told)
        self.told.clear()
        return told


@pytest.fixture
def scene(reactor: Any) -> Any:
    made = Scene(reactor)
    yield made
    made.watcher.close()


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_names_come_as_locators_gathered_in_one_call(scene: Scene, maildir: Path) -> None:
    scene.watcher.watch([str(maildir / "new"), str(maildir / "cur")], scene.told.append)
    (maildir / "tmp" / "a").touch()
    (maildir / "tmp" / "a").rename(maildir / "new" / "a")
    (maildir / "new" / "a").rename(maildir / "cur" / "a:2,S")
    (maildir / "cur" / "b").touch()
    (maildir / "cur" / "b").unlink()
    assert scene.settle() == [frozenset({b"new/a", b"a:2,S", b"b"})]


def test_names_that_are_not_utf8(scene: Scene, maildir: Path) -> None:
    scene.watcher.watch([str(maildir / "cur")], scene.told.append)
    Path(os.fsdecode(os.fsencode(maildir / "cur") + b"/\xff")).touch()
    assert scene.settle() == [frozenset({b"\xff"})]


def test_two_watches_on_one_folder_and_one_closed(scene: Scene, maildir: Path) -> None:
    other: list[Any] = []
    first = scene.watcher.watch([str(maildir / "cur")], scene.told.append)
    scene.watcher.watch([str(maildir / "cur")], other.append)
    (maildir / "cur" / "a").touch()
    first.close()
    assert scene.settle() == []
    assert other == [frozenset({b"a"})]
    (maildir / "cur" / "b").touch()
    assert scene.settle() == []
    assert other[1:] == [frozenset({b"b"})]


def test_nothing_is_told_after_close_even_if_it_was_seen_before(scene: Scene, maildir: Path) -> None:
    watch = scene.watcher.watch([str(maildir / "cur")], scene.told.append)
    (maildir / "cur" / "a").touch()
    scene.watcher.doRead()
    watch.close()
    scene.reactor.advance(1)
    assert scene.told == []
    assert not scene.watcher._by_descriptor


@pytest.mark.parametrize("change", ["remove", "move"])
def test_a_folder_that_goes_is_told_as_everything(scene: Scene, maildir: Path, change: str) -> None:
    scene.watcher.watch([str(maildir / "cur")], scene.told.append)
    if change == "remove":
        (maildir / "cur").rmdir()
    else:
        (maildir / "cur").rename(maildir / "elsewhere")
    assert scene.settle() == [None]


def test_an_overflow_is_everything_for_everybody(scene: Scene, maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.watcher.watch([str(maildir / "new")], scene.told.append)
    scene.watcher.watch([str(maildir / "cur")], scene.told.append)
    (maildir / "cur" / "a").touch()
    overflow = module.parse_events(b"\xff\xff\xff\xff\x00\x40\x00\x00" + bytes(8))
    assert overflow[0].wd == -1
    monkeypatch.setattr(module, "parse_events", lambda data: overflow)
    assert scene.settle() == [None, None]


def exhausted(number: int) -> Any:
    def refuse(*args: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


def test_exhausted_watches_fall_back_to_polling_and_say_so_once(
    scene: Scene, maildir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.watcher._inotify, "add_watch", exhausted(errno.ENOSPC))
    for name in ("cur", "new"):
        os.utime(maildir / name, (1, 1))
        scene.watcher.watch([str(maildir / name)], scene.told.append)
    scene.reactor.advance(10)
    assert scene.told == []
    (maildir / "cur" / "a").touch()
    scene.reactor.advance(2.1)
    # A change of just now is told again at the next look: there may have been another in the same moment.
    assert set(scene.told) == {None}
    os.utime(maildir / "cur", (2, 2))
    scene.reactor.advance(10)
    told = len(scene.told)
    scene.reactor.advance(10)
    assert len(scene.told) == told
    assert len(scene.lines) == 1
    assert b"fs.inotify.max_user_watches" in scene.lines[0]


def test_no_inotify_at_all(reactor: Any, maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INotify", exhausted(errno.EMFILE))
    scene = Scene(reactor)
    os.utime(maildir / "cur", (1, 1))
    watch = scene.watcher.watch([str(maildir / "cur")], scene.told.append)
    (maildir / "cur" / "a").touch()
    reactor.advance(2.1)
    assert scene.told == [None]
    assert b"fs.inotify.max_user_instances" in scene.lines[0]
    watch.close()
    reactor.advance(10)
    assert scene.told == [None]
    assert not reactor.calls


def test_a_network_file_system_is_polled(scene: Scene, maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "file_system", lambda path, mounts: "nfs4")
    os.utime(maildir / "cur", (1, 1))
    scene.watcher.watch([str(maildir / "cur")], scene.told.append)
    (maildir / "cur" / "a").touch()
    assert scene.settle() == []
    scene.reactor.advance(2.1)
    assert scene.told == [None]
    assert b"network file system" in scene.lines[0]


def test_a_folder_that_is_not_there_yet_is_polled_quietly(scene: Scene, tmp_path: Path) -> None:
    scene.watcher.watch([str(tmp_path / "later")], scene.told.append)
    (tmp_path / "later").mkdir()
    scene.reactor.advance(2.1)
    assert scene.told[0] is None
    assert scene.lines == []
