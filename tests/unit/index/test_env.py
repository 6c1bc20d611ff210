"""The environment under attack: deleted, replaced, cut, garbled, unwritable, full, forked; nothing escapes."""

import os
import shutil
import subprocess
import sys
import threading

import lmdb
import pytest

from culverhouse.index import folder
from culverhouse.index.account import AccountIndex
from culverhouse.index.env import Environments
from culverhouse.index.errors import IndexUnavailable, NotIndexed
from culverhouse.index.records import Added, Merge
from culverhouse.model.flags import SEEN
from culverhouse.model.store import FolderHeader

root_only = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


def events(bench):
    return [report.event for report in bench.account.drain_reports()]


@pytest.fixture
def full(bench):
    bench.create()
    bench.add(*range(1, 301))
    return bench


def test_reading_makes_nothing(bench):
    assert bench.box.head() is None
    assert bench.account.mailboxes() == []
    bench.account.remove(bench.guid)
    assert bench.account.sync()
    assert not os.path.exists(bench.path)


def test_missing_parents_are_made(tmp_path):
    environments = Environments(map_size=1 << 28)
    index = AccountIndex(str(tmp_path / "a" / "b" / "user"), environments)
    box = index.mailbox("g")
    with pytest.raises(NotIndexed):
        box.claim_recent()
    assert os.path.exists(tmp_path / "a" / "b" / "user" / "data.mdb")
    environments.close()


def test_the_folder_and_its_files_are_private(full):
    assert os.stat(full.path).st_mode & 0o777 == 0o700
    for name in os.listdir(full.path):
        assert os.stat(f"{full.path}/{name}").st_mode & 0o077 == 0, name


@pytest.mark.parametrize("again", [False, True])
def test_deleted_while_open(full, again):
    shutil.rmtree(full.path)
    assert full.box.head() is None
    assert full.box.snapshot() is None
    if again:
        assert full.box.head() is None
    with pytest.raises(NotIndexed):
        full.flag(1, SEEN)
    full.create()
    full.add(1)
    assert full.forget().head().messages == 1
    assert events(full) == []


@pytest.mark.parametrize("name", ["data.mdb", "lock.mdb"])
def test_one_file_deleted_while_open(full, name):
    os.unlink(f"{full.path}/{name}")
    if name == "data.mdb":
        assert full.box.head() is None
        full.create()
        full.add(1)
        assert full.box.head().messages == 1
    else:
        # Other processes will use the new lock file: whoever goes on with the old one writes beside them.
        assert full.box.head().messages == 300
        assert os.path.exists(f"{full.path}/lock.mdb")
        full.flag(1, SEEN)
        assert full.forget().head().unseen == 299


def test_a_lock_file_that_another_process_made_anew(full):
    os.unlink(f"{full.path}/lock.mdb")
    other = "import lmdb, sys; lmdb.open(sys.argv[1], map_size=1 << 28).close()"
    subprocess.run([sys.executable, "-c", other, full.path], check=True, timeout=30)
    before = full.account._environment._opened
    assert full.box.head().messages == 300
    now = full.account._environment._opened
    assert now is not before
    assert now.lock[1] == os.stat(f"{full.path}/lock.mdb").st_ino


def test_replaced_by_another_environment(full, tmp_path):
    other = AccountIndex(str(tmp_path / "other"), full.environments, full.clock)
    box = other.mailbox(full.guid)
    full.create(box=box)
    other.close()
    os.rename(full.path, tmp_path / "old")
    os.rename(tmp_path / "other", full.path)
    assert full.box.head().messages == 0
    full.add(1, 2)
    assert list(full.box.snapshot().uids) == [1, 2]


def test_emptied_folder_is_filled_again(full):
    for name in os.listdir(full.path):
        os.unlink(f"{full.path}/{name}")
    assert full.box.head() is None
    full.create()
    full.add(5)
    assert full.box.locators() == {full.locator(5): 5}


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 20000])
def test_cut_while_open(full, size):
    os.truncate(f"{full.path}/data.mdb", size)
    assert full.box.head() is None
    full.create()
    full.add(1)
    assert full.box.head().messages == 1
    assert "index-damaged" in events(full)
    assert len(folder.damaged(full.path)) == 1


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 20000])
def test_cut_while_closed(full, size):
    full.account.close()
    os.truncate(f"{full.path}/data.mdb", size)
    assert full.box.head() is None
    full.create()
    assert full.box.head().messages == 0
    assert events(full) == ["index-damaged"]


@pytest.mark.parametrize("content", [b"\xa5" * 65536, bytes(65536)])
def test_garbage_instead_of_an_environment(full, content):
    full.account.close()
    with open(f"{full.path}/data.mdb", "wb") as file:
        file.write(content)
    assert full.box.snapshot() is None
    full.create()
    full.add(1)
    assert events(full) == ["index-damaged"]


def test_an_environment_of_another_format(full):
    full.account.close()
    environment = lmdb.open(full.path, map_size=1 << 28)
    with environment.begin(write=True) as txn:
        txn.put(bytes(5), b"something else")
    environment.close()
    assert full.box.head() is None
    full.create()
    assert events(full) == ["index-damaged"]


def test_at_most_three_damaged_environments_are_kept(full):
    for _ in range(5):
        full.account.close()
        os.truncate(f"{full.path}/data.mdb", 10)
        full.create()
    assert len(folder.damaged(full.path)) == folder.KEPT


def test_a_broken_head_condemns_its_mailbox_alone(full):
    other = full.account.mailbox("other")
    full.create(box=other)
    spoil(full, lambda key: key[4] == 2 and key[3] == 1)
    box = full.forget()
    assert box.head() is None
    assert other.head() is not None
    assert events(full) == ["mailbox-index-damaged"]
    with pytest.raises(NotIndexed):
        box.claim_recent()
    full.create()
    full.add(1)
    assert full.forget().head().messages == 1


@pytest.mark.parametrize("column", [3, 4])
def test_a_broken_column_condemns_the_mailbox(full, column):
    spoil(full, lambda key: key[4] == column)
    box = full.forget()
    assert box.head().messages == 300
    assert box.locators() == {}
    assert box.head() is None
    assert full.forget().head() is None
    assert events(full) == ["mailbox-index-damaged"]
    full.create()
    full.add(*range(1, 301))
    assert len(full.box.locators()) == 300


@pytest.mark.parametrize("column", [3, 4])
def test_a_write_into_a_broken_column_condemns_the_mailbox(full, column):
    spoil(full, lambda key: key[4] == column)
    with pytest.raises(NotIndexed):
        full.flag(1, SEEN)
    assert full.box.head() is None
    assert events(full) == ["mailbox-index-damaged"]


def test_a_stale_but_whole_column_is_noticed(full):
    old = {}

    def keep(txn, opened):
        old.update((key, value) for key, value in txn.cursor() if key[4] == 3)

    full.account._environment.read(keep)
    full.flag(1, SEEN)
    full.account._environment.write(lambda txn, opened: [txn.put(key, value) for key, value in old.items()])
    assert full.forget().snapshot() is None
    assert full.box.head() is None


def spoil(bench, chosen):
    """Flip a bit in the first row whose key is chosen."""

    def change(txn, opened):
        for key, record in list(txn.cursor()):
            if chosen(key):
                txn.put(key, record[:40] + bytes((record[40] ^ 4,)) + record[41:])
                return True
        return False

    assert bench.account._environment.write(change)


def test_an_index_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    environments = Environments()
    index = AccountIndex(str(tmp_path / "file" / "user"), environments)
    assert index.mailbox("g").head() is None
    with pytest.raises(IndexUnavailable):
        index.mailbox("g").claim_recent()
    with pytest.raises(IndexUnavailable), index.lock():
        pass


@root_only
def test_an_unwritable_folder(full):
    full.account.close()
    os.chmod(full.path, 0)
    try:
        assert full.box.head() is None
        with pytest.raises(IndexUnavailable):
            full.flag(1, SEEN)
    finally:
        os.chmod(full.path, 0o700)
    assert full.box.head().messages == 300


def test_a_full_map_is_given_up_and_begun_anew(tmp_path):
    environments = Environments(map_size=1 << 20)
    index = AccountIndex(str(tmp_path / "user"), environments)
    box = index.mailbox("g")
    box.create(FolderHeader(1, 1, "g"), 0)

    def fill():
        for start in range(1, 100_000, 1000):
            added = [Added(uid, b"%d" % uid * 20, 0) for uid in range(start, start + 1000)]
            box.merge(Merge(added=added, ceiling=1 << 62))

    with pytest.raises(NotIndexed):
        fill()
    assert [report.event for report in index.drain_reports()] == ["index-damaged"]
    box.create(FolderHeader(1, 1, "g"), 0)
    assert box.head().messages == 0
    environments.close()


@pytest.mark.parametrize("error", [lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.BadTxnError, lmdb.InvalidError])
def test_what_lmdb_calls_damage_is_moved_aside(full, error):
    def fail(txn, opened):
        raise error("no page")

    assert full.account._environment.read(fail) is None
    assert full.box.head() is None
    assert events(full) == ["index-damaged"]
    assert len(folder.damaged(full.path)) == 1


def test_a_write_that_meets_damage_goes_on_in_a_new_environment(full):
    calls = []

    def fail_once(txn, opened):
        calls.append(opened)
        if len(calls) == 1:
            raise lmdb.CorruptedError("no page")
        return "done"

    assert full.account._environment.write(fail_once) == "done"
    assert calls[0] is not calls[1]
    assert full.box.head() is None


@pytest.mark.parametrize("error", [lmdb.PanicError, lmdb.BadRslotError])
def test_what_reopening_cures_costs_no_rows(full, error):
    calls = []

    def fail_once(txn, opened):
        calls.append(opened)
        if len(calls) == 1:
            problem = error("no more")
            problem.code = -30795
            raise problem
        return "done"

    assert full.account._environment.write(fail_once) == "done"
    assert calls[0] is not calls[1]
    assert full.box.head().messages == 300
    assert events(full) == []


def test_a_full_disk_is_no_damage(full):
    def fail(txn, opened):
        txn.put(b"\0\0\0\7\2", b"half")
        problem = lmdb.Error("mdb_txn_commit: No space left on device")
        problem.code = 28
        raise problem

    with pytest.raises(IndexUnavailable):
        full.account._environment.write(fail)
    assert full.box.head().messages == 300
    assert full.account._environment.read(lambda txn, opened: txn.get(b"\0\0\0\7\2")) is None
    assert events(full) == ["index-unavailable"]


def test_whatever_an_action_raises_undoes_it(full):
    before = full.box.head()

    def fail(txn, opened):
        txn.put(b"\0\0\0\1\2", b"half")
        raise KeyError

    with pytest.raises(KeyError):
        full.account._environment.write(fail)
    assert full.forget().head() == before
    assert full.account.write_started is None
    assert full.environments.write_started is None


def test_a_running_write_shows_since_when(full):
    seen = full.account._environment.write(
        lambda txn, opened: (full.account.write_started, full.environments.write_started)
    )
    assert seen[0] is not None
    assert seen[0] == seen[1]


def test_an_environment_replaced_while_a_writer_waits(full, tmp_path):
    """The writer gets LMDB's lock only after the folder was replaced: it must write into the new one."""
    holding, replaced = threading.Event(), threading.Event()

    def hold(txn, opened):
        holding.set()
        assert replaced.wait(10)

    holder = threading.Thread(target=full.account._environment.write, args=(hold,))
    holder.start()
    assert holding.wait(10)
    writer = threading.Thread(target=lambda: full.create())
    writer.start()
    while len(full.environments.writes) < 2:
        pass
    shutil.rmtree(full.path)
    replaced.set()
    holder.join(10)
    writer.join(10)
    assert full.box.head().messages == 0


def test_the_least_recently_used_are_closed(tmp_path):
    environments = Environments(limit=3, map_size=1 << 26)
    indexes = [AccountIndex(str(tmp_path / str(number)), environments) for number in range(6)]
    for index in indexes:
        with pytest.raises(NotIndexed):
            index.mailbox("g").claim_recent()
    assert [environment.path for environment in environments.recent] == [str(tmp_path / str(n)) for n in (3, 4, 5)]
    indexes[3].mailboxes()
    indexes[0].mailboxes()
    assert [environment.path for environment in environments.recent] == [str(tmp_path / str(n)) for n in (5, 3, 0)]
    environments.close()
    assert not environments.recent


def test_an_environment_in_use_is_not_closed(tmp_path):
    environments = Environments(limit=1, map_size=1 << 26)
    first, second = (AccountIndex(str(tmp_path / name), environments) for name in ("a", "b"))
    with pytest.raises(NotIndexed):
        first.mailbox("g").claim_recent()

    def use_other(txn, opened):
        with pytest.raises(NotIndexed):
            second.mailbox("g").claim_recent()
        first.close()
        return txn.get(b"\0\0\0\0\0") is not None

    assert first._environment.read(use_other)
    environments.close()


def test_one_path_is_one_environment_however_it_is_spelled(full):
    same = AccountIndex(os.path.join(os.path.dirname(full.path), ".", "user"), full.environments)
    assert same.mailbox(full.guid).head().messages == 300


def test_the_note_tells_what_is_being_read(full):
    noted = []
    full.environments.note = noted.append
    full.account._environment.read(lambda txn, opened: noted.append("reading"))
    full.account._environment.write(lambda txn, opened: noted.append("writing"))
    path = os.path.realpath(full.path)
    assert noted == [path, "reading", None, path, "writing", None]


def test_a_forked_child_leaves_its_parents_environment_alone(full, tmp_path):
    full.box.head()
    child = os.fork()
    if not child:
        good = False
        try:
            good = full.box.head() is None
            with pytest.raises(IndexUnavailable):
                full.flag(1, SEEN)
            own = AccountIndex(str(tmp_path / "own"), full.environments, full.clock)
            full.create(box=own.mailbox("g"))
            good = good and own.mailbox("g").head() is not None
            full.environments.close()
        finally:
            os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for _ in range(5):
        assert full.forget().snapshot().head.messages == 300
    full.flag(1, SEEN)
    assert full.box.head().unseen == 299
    assert events(full) == []


def test_readers_and_a_writer_in_threads(full):
    """Each snapshot is of one moment: its counters are those of its rows."""
    wrong, stop = [], threading.Event()

    def read():
        snapshot = None
        while not stop.is_set():
            snapshot = full.box.snapshot(snapshot)
            unseen = sum(not flags & SEEN for _, flags, _ in snapshot.rows())
            if unseen != snapshot.head.unseen or len(snapshot.uids) != snapshot.head.messages:
                wrong.append(snapshot.head)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for uid in range(1, 151):
        full.flag(uid, SEEN)
        full.vanish(uid + 150)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert full.box.head().messages == 150
