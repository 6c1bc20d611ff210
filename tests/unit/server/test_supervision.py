"""The supervisor's rules, without processes: restarts, delays, hangs, suspects; and what travels between processes."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from culverhouse.config import Config
from culverhouse.config.schema import Auth, Listen, Listener, Mail, Server
from culverhouse.server import binding, control, notes, supervisor
from culverhouse.server.certificates import read_pems
from culverhouse.server.events import EventLog
from culverhouse.server.orders import LONGEST_WORD, Suspect, Word, order, packed, spoken, word
from culverhouse.server.pem import Pem
from culverhouse.server.runtime import Runtime, Unusable
from culverhouse.server.supervisor import Child, Generation, Supervisor


class Process:
    """A child process that does what the test says."""

    def __init__(self) -> None:
        self.pid = 4711
        self.returncode: int | None = None
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def kill(self) -> None:
        self.signals.append(signal.SIGKILL)


class Scene:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.now = 1000.0
        monkeypatch.setattr(supervisor.time, "monotonic", lambda: self.now)
        config = Config(
            listen=Listen(imap=(Listener("127.0.0.1", 0),)), auth=Auth(), mail=Mail(home="/h/{user}"),
            server=Server(workers=2, runtime_dir=str(tmp_path)),
        )
        self.lines: list[bytes] = []
        self.supervisor = Supervisor(config, EventLog("supervisor", write=self.lines.append))
        self.generation = Generation(1, config, ())
        self.supervisor.generation = self.generation
        self.worker = self.generation.workers[0]
        self.ours: list[socket.socket] = []

    def run(self, child: Child) -> Process:
        process = Process()
        child.process = process  # type: ignore[assignment]
        child.again_at = None
        child.started = child.heard = self.now
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        child.link = near
        self.supervisor.selector.register(near, 1, child)
        self.ours += [near, far]
        return process

    def end(self, child: Child, status: int) -> None:
        assert child.process is not None
        child.process.returncode = status
        self.supervisor._reap()

    def events(self) -> list[str]:
        return [line.split()[3].decode() for line in self.lines]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(monkeypatch, tmp_path)
    yield made
    for one in made.ours:
        one.close()
    made.supervisor.selector.close()


def test_what_dies_is_started_again_at_once_and_what_keeps_dying_within_a_second(scene: Scene) -> None:
    child = scene.worker
    scene.run(child)
    child.ready = True
    scene.now += 60
    scene.end(child, -9)
    assert child.again_at == scene.now
    delays = []
    for _ in range(8):
        scene.run(child)
        scene.end(child, 1)
        assert child.again_at is not None
        delays.append(child.again_at - scene.now)
    assert delays[0] > 0
    assert delays == sorted(delays)
    assert delays[-1] == supervisor.LONGEST_DELAY == 1.0


def test_silence_is_ended_by_abort_and_then_kill(scene: Scene) -> None:
    child = scene.worker
    process = scene.run(child)
    child.ready = True
    scene.now += supervisor.SILENCE + 1
    scene.supervisor._look_after(scene.now)
    assert process.signals == [signal.SIGABRT]
    scene.supervisor._look_after(scene.now + 2)
    assert process.signals == [signal.SIGABRT, signal.SIGKILL]
    assert "process-hung" in scene.events()


def test_signs_of_life_keep_a_child_and_an_old_write_transaction_does_not(scene: Scene) -> None:
    child = scene.worker
    process = scene.run(child)
    far = scene.ours[-1]
    for said, expected in ((Word("ready"), []), (Word("alive", 19.0), []), (Word("alive", 21.0), [signal.SIGABRT])):
        frame = spoken(said)
        scene.now += 20
        far.sendall(len(frame).to_bytes(4, "big") + frame)
        scene.supervisor._talk(child)
        scene.supervisor._look_after(scene.now)
        assert process.signals == expected
    assert child.ready


@pytest.mark.parametrize("frame", [
    b"", b"null", b"[]", b"{}", b"x" * 100, b'{"kind": "stop", "write_age": 0, "connections": 0}',
    b'{"kind": "alive", "write_age": "0", "connections": 0}', b'{"kind": "alive", "write_age": 0, "connections": null}',
    b"[" * 4000,
])
def test_nonsense_from_a_child_is_worth_nothing(scene: Scene, frame: bytes) -> None:
    assert word(frame) is None
    scene.run(scene.worker)
    scene.now += 5
    scene.ours[-1].sendall(len(frame).to_bytes(4, "big") + frame)
    scene.supervisor._talk(scene.worker)
    assert scene.worker.heard == scene.now - 5
    assert not scene.worker.ready


def test_a_child_that_sends_too_much_is_ended(scene: Scene) -> None:
    process = scene.run(scene.worker)
    scene.ours[-1].sendall((LONGEST_WORD + 1).to_bytes(4, "big"))
    scene.supervisor._talk(scene.worker)
    assert process.signals == [signal.SIGABRT]
    assert scene.worker.link is None


def received(far: socket.socket) -> list[Any]:
    data = far.recv(1 << 20)
    orders = []
    while data:
        size = int.from_bytes(data[:4], "big")
        orders.append(order(data[4 : 4 + size]))
        data = data[4 + size :]
    return orders


@pytest.mark.parametrize(("status", "suspected"), [
    (-signal.SIGBUS, True), (-signal.SIGABRT, True), (-signal.SIGSEGV, True), (-signal.SIGKILL, False), (1, False),
])
def test_an_index_is_suspected_when_its_reader_crashed(scene: Scene, status: int, suspected: bool) -> None:
    one, two = scene.generation.workers
    scene.run(one)
    one.notes = notes.create()
    scene.run(two)
    far = scene.ours[-1]
    writer = notes.Notes(one.notes)
    writer("/index/alice")
    scene.end(one, status)
    assert ("index-suspect" in scene.events()) is suspected
    if suspected:
        assert received(far) == [Suspect("/index/alice")]
    assert scene.supervisor.suspects == []


def test_a_suspect_waits_for_the_next_worker_when_there_is_none(scene: Scene) -> None:
    one, two = scene.generation.workers
    scene.run(one)
    one.notes = notes.create()
    notes.Notes(one.notes)("/index/alice")
    scene.end(one, -signal.SIGSEGV)
    assert scene.supervisor.suspects == ["/index/alice"]
    scene.run(two)
    scene.supervisor._accuse()
    assert received(scene.ours[-1]) == [Suspect("/index/alice")]


def test_a_reader_killed_as_hung_accuses_nobody(scene: Scene) -> None:
    child = scene.worker
    scene.run(child)
    child.notes = notes.create()
    notes.Notes(child.notes)("/index/alice")
    scene.supervisor._hung(child, "no sign of life")
    scene.end(child, -signal.SIGABRT)
    assert "index-suspect" not in scene.events()


def test_notes_are_kept_per_thread_and_cleared() -> None:
    import threading

    descriptor = notes.create()
    try:
        made = notes.Notes(descriptor)
        made("/a/ü")
        thread = threading.Thread(target=made, args=("/b",))
        thread.start()
        thread.join()
        assert notes.read(descriptor) == {"/a/ü", "/b"}
        made(None)
        assert notes.read(descriptor) == {"/b"}
        for number in range(200):
            thread = threading.Thread(target=made, args=(f"/{number}",))
            thread.start()
            thread.join()
        assert "/199" in notes.read(descriptor)
        made("/" + "x" * 2000)
        assert max(map(len, notes.read(descriptor))) == notes.SLOT - 2
    finally:
        os.close(descriptor)


def test_orders_survive_the_journey() -> None:
    assert order(packed(Suspect("/x"))) == Suspect("/x")
    assert word(spoken(Word("alive", 1.5, 3))) == Word("alive", 1.5, 3)
    assert json.loads(spoken(Word("ready"))) == {"kind": "ready", "write_age": 0.0, "connections": 0}


def test_the_runtime_directory_is_locked_private_and_cleaned(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    first = Runtime(str(folder), None)
    assert {path.name for path in folder.iterdir()} == {"auth", "control", "doorbell", "metrics", "lock"}
    for name in ("auth", "control"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    for name in ("doorbell", "metrics"):
        assert (folder / name).stat().st_mode & 0o777 == 0o700
    with pytest.raises(Unusable, match="another server"):
        Runtime(str(folder), None)
    (folder / "metrics" / "counter_1.db").touch()
    first.close()
    assert not (folder / "control").exists()
    second = Runtime(str(folder), None)
    assert not list((folder / "metrics").iterdir())
    second.close()


def test_a_runtime_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(Unusable, match="others can write"):
        Runtime(str(folder), None)


def test_a_dead_servers_socket_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    first = binding.bind(Listener(path=path, mode=0o640))
    assert os.stat(path).st_mode & 0o777 == 0o640
    with pytest.raises(OSError, match="in use"):
        binding.bind(Listener(path=path))
    first.close()
    second = binding.bind(Listener(path=path))
    second.close()
    os.unlink(path)
    Path(path).write_text("a file")
    with pytest.raises(OSError, match="in use"):
        binding.bind(Listener(path=path))
    assert Path(path).read_text() == "a file"


def test_asking_where_no_server_runs(tmp_path: Path) -> None:
    with pytest.raises(control.NotRunning, match="no server answers"):
        control.ask(str(tmp_path), {"command": "who"})


def test_certificates_are_read_and_all_that_is_wrong_is_said(tmp_path: Path, make_pem: Any) -> None:
    import dataclasses

    from culverhouse.config.schema import Certificate, Tls

    pem: Pem = make_pem("a.example")
    (tmp_path / "c").write_bytes(pem.certificate)
    (tmp_path / "k").write_bytes(pem.key)
    (tmp_path / "bad").write_text("bad")
    good = Certificate(str(tmp_path / "c"), str(tmp_path / "k"), ("x.example",))
    config = Config(listen=Listen(), auth=Auth(), mail=Mail(home="/h/{user}"))
    tls = Tls(good.certificate, good.key, sni=(good,))
    found, expiring = read_pems(dataclasses.replace(config, tls=tls))
    assert [one.names for one in found] == [(), ("x.example",)]
    assert len(expiring) == 2  # the tests' certificates are good for a day
    wrong = Tls(
        str(tmp_path / "bad"), good.key,
        sni=(Certificate(str(tmp_path / "none"), good.key), Certificate(good.certificate, str(tmp_path / "bad"))),
    )
    with pytest.raises(Unusable) as caught:
        read_pems(dataclasses.replace(config, tls=wrong))
    assert [text.partition(":")[0] for text in str(caught.value).split("; ")] == [
        str(tmp_path / "none"), str(tmp_path / "bad"), good.certificate,
    ]
    assert read_pems(config) == ((), [])


def test_the_supervisor_loads_nothing_large() -> None:
    import subprocess
    import sys

    said = subprocess.run(
        [sys.executable, "-c", "import sys, culverhouse.server.supervisor; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    ).stdout.split()
    assert not {"twisted", "OpenSSL", "cryptography", "lmdb", "prometheus_client", "passlib"} & set(said)
