"""The vanished log: complete after its floor, bounded, never wrong."""

from culverhouse.index import changelog, schema
from culverhouse.model.uids import UidSet


def test_what_vanished_since(bench):
    bench.create(ceiling=500)
    bench.add(*range(1, 100))
    start = bench.box.head().highestmodseq
    first = bench.vanish(1, 2, 3, 50).modseq
    second = bench.vanish(4, 99).modseq
    box = bench.forget()
    assert box.vanished_since(start) == UidSet.of([1, 2, 3, 4, 50, 99])
    assert box.vanished_since(first) == UidSet.of([4, 99])
    assert box.vanished_since(second) == UidSet()
    assert box.vanished_since(second + 10**9) == UidSet()
    assert box.vanished_since(start, UidSet([(2, 4), (60, 70)])) == UidSet.of([2, 3, 4])


def test_before_the_floor_nothing_is_known(bench):
    bench.create(ceiling=500)
    bench.add(1, 2)
    bench.vanish(1)
    assert bench.box.head().vanished_floor == 500
    assert bench.box.vanished_since(499) is None
    assert bench.box.vanished_since(500) == UidSet.of([1])
    assert bench.account.mailbox("other").vanished_since(500) is None


def test_the_log_is_bounded_and_its_floor_true(bench, monkeypatch):
    monkeypatch.setattr(changelog, "LOG_ROWS", 20)
    bench.create()
    bench.add(*range(1, 60))
    modseqs = {uid: bench.vanish(uid).modseq for uid in range(1, 51)}
    head = bench.forget().head()
    assert 10 <= head.vanished_rows <= 20
    known = [uid for uid, modseq in modseqs.items() if modseq > head.vanished_floor]
    assert len(known) == head.vanished_rows
    assert bench.box.vanished_since(head.vanished_floor) == UidSet.of(known)
    assert bench.box.vanished_since(head.vanished_floor - 1) is None


def test_a_damaged_row_makes_the_log_unknown_not_wrong(bench):
    bench.create()
    bench.add(*range(1, 10))
    start = bench.box.head().highestmodseq
    modseq = bench.vanish(3).modseq
    bench.vanish(4)

    def damage(txn, opened):
        for key, record in list(txn.cursor()):
            if key[4] == schema.VANISHED and schema.split_log_key(key)[2] == modseq:
                txn.put(key, record[:-1] + b"\xff")

    bench.account._environment.write(damage)
    assert bench.box.vanished_since(start) is None
    assert bench.box.vanished_since(modseq) == UidSet.of([4])
