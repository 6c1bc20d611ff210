"""The verifier finds what is wrong and nothing else; repair takes away as little as it can."""

import os
import shutil

import pytest

from culverhouse.index import folder, schema
from culverhouse.index.head import pack_head, unpack_head
from culverhouse.index.repair import discard, moved_aside, repair
from culverhouse.index.verify import examine, main, verify_environment
from culverhouse.model.facts import Fact
from culverhouse.model.flags import DELETED, SEEN


@pytest.fixture
def full(bench):
    bench.create()
    bench.add(*range(1, 601), recent=True)
    for uid in range(1, 20):
        bench.flag(uid, SEEN | DELETED)
    bench.vanish(*range(250, 300))
    bench.vanish(600, 1)
    bench.box.want_headers(frozenset({b"to"}))
    bench.box.put_facts([(uid, fact, b"x" * (uid * 50)) for uid in range(1, 601) for fact in (Fact.BODY, Fact.SENT)])
    other = bench.account.mailbox("other")
    bench.create(box=other)
    bench.account.close()
    return bench


def look(bench):
    bench.account.close()
    return examine(bench.path)


def test_a_sound_environment(full):
    result = look(full)
    assert result.sound, result
    assert (result.present, result.checked, result.messages) == (True, 2, 548)
    assert result.rows > 20


def test_nothing_there(tmp_path):
    result = verify_environment(str(tmp_path / "none"))
    assert (result.present, result.sound) == (False, True)


def test_in_a_child_process(full):
    result = verify_environment(full.path)
    assert result.sound, result
    assert result.messages == 548


def test_a_child_looks_while_others_write(full):
    full.flag(30, SEEN)
    result = verify_environment(full.path)
    assert result.sound, result


@pytest.mark.parametrize("column", [schema.HEAD, schema.HOT, schema.LOCATORS, schema.COLD, schema.VANISHED])
def test_any_flipped_bit_is_found(full, column):
    spoil(full, column, 9)
    assert list(look(full).mailboxes) == [full.guid]


@pytest.mark.parametrize("fact", [Fact.BODY, Fact.BODY + 64, Fact.SENT])
def test_flipped_facts_are_found(full, fact):
    spoil(full, schema.FACTS + fact, -1)
    result = look(full)
    assert list(result.mailboxes) == [full.guid]
    assert len(result.mailboxes[full.guid]) == 1


@pytest.mark.parametrize("name", ["messages", "unseen", "deleted", "recent", "size", "size_unknown"])
def test_wrong_counters_are_found(full, name):
    def miscount(txn, opened):
        key = schema.column_key(1, schema.HEAD)
        head = unpack_head(key, txn.get(key))
        txn.put(key, pack_head(key, head._replace(**{name: getattr(head, name) + 1})))

    full.account._environment.write(miscount)
    result = look(full)
    assert [problem.split(":")[0] for problem in result.mailboxes[full.guid]] == [name]


def test_rows_without_a_mailbox_are_found_and_swept(full):
    key = schema.row_key(9, schema.HOT, 1)
    full.account._environment.write(lambda txn, opened: txn.put(key, b"x"))
    assert full.account.sweep() == 1
    assert look(full).sound


def spoil(bench, column, place):
    def change(txn, opened):
        for key, record in list(txn.cursor()):
            if key[:4] == b"\0\0\0\1" and key[4] == column:
                damaged = bytearray(record)
                damaged[place] ^= 1
                txn.put(key, bytes(damaged))
                return True
        return False

    assert bench.account._environment.write(change)


def scribble(bench, start, data):
    bench.account.close()
    with open(f"{bench.path}/data.mdb", "r+b") as file:
        file.seek(start)
        file.write(data)


@pytest.mark.parametrize("damage", ["zero page", "cut", "metas", "empty"])
def test_a_broken_structure_is_found_in_the_child(full, damage):
    size = os.stat(f"{full.path}/data.mdb").st_size
    full.account.close()
    if damage == "zero page":
        for page in range(2, size // 4096):
            scribble(full, page * 4096, bytes(4096))
    elif damage == "metas":
        scribble(full, 0, bytes(8192))
    else:
        os.truncate(f"{full.path}/data.mdb", size - 40960 if damage == "cut" else 0)
    result = verify_environment(full.path)
    assert result.structure
    assert not result.sound


def test_repair_of_what_is_sound_does_nothing(full):
    done = repair(full.path, full.environments)
    assert (done.found.sound, done.moved_to, done.dropped, done.failed) == (True, None, [], None)
    assert full.box.head().messages == 548


def test_repair_drops_one_mailbox(full):
    spoil(full, schema.COLD, 3)
    full.account.close()
    done = repair(full.path, full.environments)
    assert (done.dropped, done.moved_to, done.failed) == ([full.guid], None, None)
    assert full.box.head() is None
    assert full.account.mailboxes() == ["other"]
    assert look(full).sound


def test_repair_moves_a_broken_environment_aside(full):
    for page in range(2, os.stat(f"{full.path}/data.mdb").st_size // 4096):
        scribble(full, page * 4096, bytes(4096))
    done = repair(full.path, full.environments)
    assert done.moved_to == moved_aside(full.path)[0]
    assert not os.path.exists(full.path)
    full.create()
    assert full.box.head().messages == 0


def test_discarding(full):
    assert discard(full.path)
    assert not discard(full.path)
    assert full.box.head() is None
    assert sorted(os.listdir(os.path.dirname(full.path))) == ["user.lock"]


def test_exit_codes(full, tmp_path, monkeypatch, capsys):
    full.account.close()
    broken = tmp_path / "broken"
    shutil.copytree(full.path, broken)
    os.truncate(broken / "data.mdb", 8192)
    for path, code in ((full.path, 0), (broken, 1), (tmp_path / "none", 2)):
        monkeypatch.setattr("sys.argv", ["verify", str(path)])
        assert main() == code
        assert capsys.readouterr().out.startswith('{"path": ')
    monkeypatch.setattr("sys.argv", ["verify"])
    assert main() == 2


def test_an_unreadable_environment_is_not_called_sound(full, monkeypatch):
    monkeypatch.setattr(
        folder, "open_environment", lambda *args, **more: (_ for _ in ()).throw(OSError(5, "I/O error"))
    )
    assert look(full).structure == ["[Errno 5] I/O error"]
