"""The index when its process dies, its disk is full, or its file is garbled at rest; each in a process of its own."""

import random
import signal
import subprocess
import sys
import time

import pytest

from culverhouse.index.verify import examine
from culverhouse.model.facts import Fact
from culverhouse.model.flags import SEEN

COMMON = """
import sys
from culverhouse.index.account import AccountIndex
from culverhouse.index.env import Environments
from culverhouse.index.errors import IndexUnavailable, NotIndexed
from culverhouse.index.records import Added, Changed, Merge
from culverhouse.model.facts import Fact
path = sys.argv[1]
environments = Environments(map_size=1 << 28)
account = AccountIndex(path, environments)
box = account.mailbox("0123456789abcdef0123456789abcdef")
"""

WRITER = (
    COMMON
    + """
print("ready", flush=True)
number = 0
while True:
    number += 1
    box.merge(Merge(changed=[Changed(uid, b"%d:%d" % (uid, number), number % 2) for uid in range(1, 400, 7)]))
    box.put_facts([(uid, Fact.ENVELOPE, b"%d" % number * 300) for uid in range(1, 40)])
"""
)

FULL = (
    COMMON
    + """
import os
import resource
size = os.stat(path + "/data.mdb").st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40960, size + 40960))
refused = 0
for number in range(1, 100):
    before = list(box.snapshot().rows())
    try:
        box.put_facts([(uid, Fact.BODY, b"%d" % number * 2000) for uid in range(number, number + 30)])
    except IndexUnavailable:
        refused += 1
    assert list(box.snapshot().rows()) == before
assert refused > 50, refused
"""
)

READER = (
    COMMON
    + """
for again in range(2):
    snapshot = box.snapshot()
    if snapshot is not None:
        head = snapshot.head
        assert head.messages == len(snapshot.uids)
        assert head.unseen == sum(not flags & 1 for _, flags, _ in snapshot.rows())
        box.locators()
        sizes = box.sizes(snapshot.uids)
        assert all(size in (100, None) for size in sizes), sizes
        for fact in (Fact.ENVELOPE, Fact.BODY):
            for uid, value in zip(snapshot.uids, box.facts(fact, snapshot.uids)):
                assert value in (None, b"%d %d" % (uid, fact) * 30), (uid, value)
        box.vanished_since(head.vanished_floor)
        try:
            box.merge(Merge(added=[Added(5000 + again, b"new", 0)], vanished=[1, 300], ceiling=1 << 62))
            box.put_facts([(uid, Fact.ENVELOPE, b"%d 1" % uid * 30) for uid in range(1, 500)])
        except NotIndexed:
            pass
account.drain_reports()
environments.close()
"""
)

DEATHS = {-signal.SIGABRT, -signal.SIGBUS, -signal.SIGSEGV}
"""What LMDB does to a process that reads some kinds of damage; the supervisor and the verifier deal with that."""


@pytest.fixture
def full(bench):
    bench.create()
    bench.add(*range(1, 601))
    bench.box.put_facts(
        [(uid, f, b"%d %d" % (uid, f) * 30) for uid in range(1, 601) for f in (Fact.ENVELOPE, Fact.BODY)]
    )
    bench.vanish(*range(500, 600, 3))
    bench.environments.close()
    return bench


def run(script, path):
    return subprocess.run([sys.executable, "-c", script, path], capture_output=True, timeout=60, check=False)


def test_a_writer_that_is_killed_leaves_a_whole_index(full):
    for moment in (0.002, 0.01, 0.02, 0.03):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, full.path], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(moment)
        writer.kill()
        writer.communicate()
        full.flag(2, SEEN if full.box.snapshot().flags_of(2) != SEEN else 0)
        full.account.close()
        result = examine(full.path)
        assert result.sound, result


def test_a_full_disk_refuses_writes_and_keeps_what_is_there(full):
    done = run(FULL, full.path)
    assert done.returncode == 0, done.stderr.decode()
    assert full.box.head().messages == 566


@pytest.mark.parametrize("kind", ["bits", "zero page", "garbage page", "stale page", "metas", "header", "cut", "tail"])
@pytest.mark.parametrize("seed", [1, 2])
def test_damage_is_found_or_kills_but_is_never_believed(full, kind, seed):
    rng = random.Random(f"{kind}{seed}")
    path = f"{full.path}/data.mdb"
    with open(path, "rb") as file:
        data = bytearray(file.read())
    pages = len(data) // 4096
    page = rng.randrange(2, pages) * 4096
    if kind == "bits":
        for _ in range(64):
            data[rng.randrange(8192, len(data))] ^= 1 << rng.randrange(8)
    elif kind == "zero page":
        data[page : page + 4096] = bytes(4096)
    elif kind == "garbage page":
        data[page : page + 4096] = rng.randbytes(4096)
    elif kind == "stale page":
        other = rng.randrange(2, pages) * 4096
        data[page : page + 4096] = data[other : other + 4096]
    elif kind == "metas":
        data[:8192] = rng.randbytes(8192)
    elif kind == "header":
        for _ in range(200):
            data[rng.randrange(pages) * 4096 + rng.randrange(32)] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[page:]
    else:
        del data[-rng.randrange(1, 4096) :]
    with open(path, "wb") as file:
        file.write(data)
    done = run(READER, full.path)
    assert done.returncode in DEATHS | {0}, done.stderr.decode()
