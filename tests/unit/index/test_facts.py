"""Cached facts and columns: ready bytes come back as they went in, or not at all."""

import random

import pytest

from culverhouse.index import cache, schema
from culverhouse.index.errors import NotIndexed
from culverhouse.index.mailbox import MAX_FIELDS
from culverhouse.model.facts import Fact

FROM_TO = frozenset({b"from", b"to"})


@pytest.fixture
def full(bench):
    bench.create()
    bench.add(*range(1, 201), size=None)
    return bench


def value(uid, fact=Fact.ENVELOPE):
    return b"(%d %d)" % (uid, fact) * (uid % 7)


def put(bench, uids, *facts):
    return bench.box.put_facts([(uid, fact, value(uid, fact)) for uid in uids for fact in facts])


def test_facts_come_back(full):
    assert put(full, range(1, 201), Fact.ENVELOPE, Fact.BODY) == 400
    box = full.forget()
    assert box.facts(Fact.ENVELOPE, range(1, 201)) == [value(uid) for uid in range(1, 201)]
    assert box.facts(Fact.BODY, [77]) == [value(77, Fact.BODY)]
    assert box.facts(Fact.BODYSTRUCTURE, [77, 78]) == [None, None]
    assert box.facts(Fact.ENVELOPE, []) == []


def test_an_empty_fact_is_a_fact(full):
    full.box.put_facts([(7, Fact.ENVELOPE, b"")])
    assert full.box.facts(Fact.ENVELOPE, [6, 7]) == [None, b""]


def test_in_any_order_and_with_repeats(full):
    put(full, range(1, 201, 3), Fact.ENVELOPE)
    wanted = [random.Random(5).randrange(1, 260) for _ in range(500)]
    expected = [value(uid) if uid % 3 == 1 and uid <= 200 else None for uid in wanted]
    assert full.box.facts(Fact.ENVELOPE, wanted) == expected


def test_filling_in_pieces_keeps_what_is_there(full):
    order = list(range(1, 201))
    random.Random(1).shuffle(order)
    for start in range(0, 200, 13):
        put(full, order[start : start + 13], Fact.SENT)
    assert full.box.facts(Fact.SENT, range(1, 201)) == [value(uid, Fact.SENT) for uid in range(1, 201)]
    full.box.put_facts([(50, Fact.SENT, b"new")])
    assert full.box.facts(Fact.SENT, [49, 50, 51]) == [value(49, Fact.SENT), b"new", value(51, Fact.SENT)]


def test_facts_of_messages_that_are_gone_are_not_kept(full):
    full.vanish(*range(64, 96))
    assert put(full, range(60, 100), Fact.ENVELOPE) == 8
    assert full.box.facts(Fact.ENVELOPE, [63, 64, 95, 96]) == [value(63), None, None, value(96)]


def test_a_write_to_a_group_drops_what_is_gone_from_it(full):
    put(full, range(64, 96), Fact.ENVELOPE)
    full.vanish(*range(64, 90))
    put(full, [95], Fact.ENVELOPE)
    tags, rows = full.account._environment.read(lambda txn, opened: cache.read_group(txn, 1, Fact.ENVELOPE, 2))
    assert rows == [None] * 26 + [value(uid) for uid in range(90, 96)]
    assert tags == bytes(26) + b"\1" * 6


def test_a_message_that_turns_up_again_has_no_facts_from_before(full):
    put(full, range(64, 96), Fact.ENVELOPE)
    full.vanish(70)
    full.add(70)
    assert full.box.facts(Fact.ENVELOPE, [69, 70]) == [value(69), None]


def test_a_group_goes_with_its_last_message(full):
    put(full, range(1, 201), *Fact)
    full.vanish(*range(64, 95))
    assert groups(full) == {(fact, group) for fact in Fact if fact != Fact.HEADERS for group in range(7)}
    full.vanish(95)
    assert groups(full) == {(fact, group) for fact in Fact if fact != Fact.HEADERS for group in range(7) if group != 2}


def groups(bench):
    found = set()

    def collect(txn, opened):
        for key in txn.cursor().iternext(values=False):
            if len(key) == 9 and schema.FACTS <= key[4] < schema.FACTS + 64:
                found.add((Fact(key[4] - schema.FACTS), schema.split_row_key(key)[2]))

    bench.account._environment.read(collect)
    return found


def test_big_facts_lie_apart(full):
    big = bytes(range(256)) * 400
    full.box.put_facts([(3, Fact.ENVELOPE, big), (4, Fact.ENVELOPE, b"small"), (5, Fact.ENVELOPE, big[1:])])
    assert full.box.facts(Fact.ENVELOPE, range(2, 7)) == [None, big, b"small", big[1:], None]
    full.box.put_facts([(3, Fact.ENVELOPE, b"now small")])
    assert full.box.facts(Fact.ENVELOPE, [3, 5]) == [b"now small", big[1:]]
    full.vanish(*range(1, 201))
    left = full.account._environment.read(lambda txn, opened: [key for key in txn.cursor().iternext(values=False)])
    assert not [key for key in left if len(key) == 9 and key[4] >= schema.FACTS]


def flip(bench, column, row):
    """Damage one byte of a row."""

    def change(txn, opened):
        for key, record in list(txn.cursor()):
            if len(key) == 9 and key[4] == column and schema.split_row_key(key)[2] == row:
                txn.put(key, record[:-1] + bytes((record[-1] ^ 1,)))
                return True
        return False

    assert bench.account._environment.write(change)


def test_a_damaged_group_reads_as_missing_is_reported_and_written_anew(full):
    put(full, range(1, 201), Fact.ENVELOPE)
    flip(full, schema.FACTS + Fact.ENVELOPE, 1)
    box = full.forget()
    got = box.facts(Fact.ENVELOPE, range(1, 201))
    assert [uid for uid, fact in enumerate(got, 1) if fact is None] == list(range(32, 64))
    box.facts(Fact.ENVELOPE, [40])
    assert [report.event for report in full.account.drain_reports()] == ["index-row-damaged"]
    assert put(full, [40], Fact.ENVELOPE) == 1
    assert box.facts(Fact.ENVELOPE, [39, 40]) == [None, value(40)]


def test_a_damaged_big_fact_is_missing_alone(full):
    full.box.put_facts([(3, Fact.ENVELOPE, b"x" * 99999), (4, Fact.ENVELOPE, b"small")])
    flip(full, schema.FACTS + 64 + Fact.ENVELOPE, 3)
    assert full.box.facts(Fact.ENVELOPE, [3, 4]) == [None, b"small"]


def test_sizes_and_dates(full):
    assert full.box.sizes([1, 200, 500]) == [None, None, None]
    full.box.set_sizes({1: (10, 11), 200: (20, 22), 500: (1, 1)})
    full.box.set_dates({1: -5, 2: 1_700_000_000})
    box = full.forget()
    assert box.sizes([200, 1, 2]) == [22, 11, None]
    assert box.dates([2, 1, 200, 0]) == [1_700_000_000, -5, None, None]
    assert (box.head().size, box.head().size_unknown) == (33, 198)
    full.box.set_sizes({1: (10, 12)})
    assert (box.head().size, box.head().size_unknown) == (34, 198)


def test_sizes_give_no_modseq_and_change_no_chunk(full):
    before = full.box.snapshot()
    full.box.set_sizes({1: (10, 11)})
    then = full.box.snapshot(before)
    assert then.chunks == before.chunks
    assert then.head.highestmodseq == before.head.highestmodseq


def test_a_damaged_size_column_reads_as_unknown_and_is_counted_again(full):
    full.box.set_sizes({uid: (uid, uid) for uid in range(1, 201)})
    full.add(*range(201, 401))
    flip(full, schema.COLD, 257)
    box = full.forget()
    assert box.sizes([256, 257, 400]) == [100, None, None]
    assert box.head() is not None
    assert {report.event for report in full.account.drain_reports()} == {"index-row-damaged"}
    box.set_sizes({300: (7, 7)})
    assert box.sizes([256, 257, 300]) == [100, None, 7]
    head = full.forget().head()
    assert (head.size, head.size_unknown) == (sum(range(1, 201)) + 56 * 100 + 7, 143)


def test_header_sets_grow_and_rows_know_theirs(full):
    assert full.box.want_headers(FROM_TO) == 1
    assert full.box.want_headers(frozenset({b"to"})) == 1
    full.box.put_facts([(1, Fact.HEADERS, b"To: a\r\nFrom: b\r\n")], 1)
    assert full.box.want_headers(frozenset({b"subject"})) == 2
    full.box.put_facts([(2, Fact.HEADERS, b"From: b\r\nSubject: s\r\nTo: a\r\n")], 2)
    assert full.forget().head().header_sets == (FROM_TO, FROM_TO | {b"subject"})
    box = full.forget()
    assert box.header_blocks(FROM_TO, [1, 2, 3]) == [b"To: a\r\nFrom: b\r\n", b"From: b\r\nTo: a\r\n", None]
    assert box.header_blocks(frozenset({b"to"}), [1, 2]) == [b"To: a\r\n", b"To: a\r\n"]
    assert box.header_blocks(FROM_TO | {b"subject"}, [1, 2]) == [None, b"From: b\r\nSubject: s\r\nTo: a\r\n"]
    assert box.header_blocks(frozenset({b"date"}), [1, 2]) == [None, None]


def test_a_whole_group_of_one_header_set(full):
    full.box.want_headers(FROM_TO)
    full.box.put_facts([(uid, Fact.HEADERS, b"To: %d\r\n" % uid) for uid in range(32, 64)], 1)
    assert full.box.header_blocks(FROM_TO, range(32, 64)) == [b"To: %d\r\n" % uid for uid in range(32, 64)]
    assert full.box.header_blocks(frozenset({b"from"}), range(32, 64)) == [b""] * 32


def test_a_client_cannot_make_the_header_set_grow_without_end(full):
    for number in range(MAX_FIELDS):
        assert full.box.want_headers(frozenset({b"x-%d" % number})) == number + 1
    assert full.box.want_headers(frozenset({b"one-more"})) == 0
    assert full.box.want_headers(frozenset({b"x-5", b"x-99"})) == MAX_FIELDS
    assert full.box.want_headers(frozenset({b"y" * 5000})) == 0
    assert full.box.put_facts([(1, Fact.HEADERS, b"One-More: 1\r\n")], 0) == 0
    assert full.forget().head().header_sets[-1] == {b"x-%d" % number for number in range(MAX_FIELDS)}
    full.box.put_facts([(1, Fact.HEADERS, b"X-5: 1\r\n")], MAX_FIELDS)
    assert full.box.header_blocks(frozenset({b"x-5"}), [1]) == [b"X-5: 1\r\n"]


def test_writing_without_an_index(bench):
    with pytest.raises(NotIndexed):
        bench.box.put_facts([(1, Fact.ENVELOPE, b"x")])
    with pytest.raises(NotIndexed):
        bench.box.want_headers(FROM_TO)
    with pytest.raises(NotIndexed):
        bench.box.set_sizes({1: (1, 1)})
    assert bench.box.header_blocks(FROM_TO, [1]) == [None]
    assert bench.box.facts(Fact.ENVELOPE, [1, 2]) == [None, None]


def test_versions_fit_into_a_tag():
    assert MAX_FIELDS <= cache.VERSIONS
