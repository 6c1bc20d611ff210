"""The rows of the comparison: each does one piece of work against one server and says how much it did.

A row is a function of a `Bench` (one server with its mailbox) that returns (units, seconds, octets or 0). What must
be set up or undone around the measured work is outside the measured seconds.
"""

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .client import Imap, Pop3
from .mailbox import COMMON, RARE
from .servers import Server

Result = tuple[float, float, int]
THUNDERBIRD = (
    b"UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority"
    b" X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])"
)
SMALL = b"From: a@example.org\r\nTo: b@example.org\r\nSubject: small\r\n\r\n" + b"A line of text.\r\n" * 60


@dataclass
class Bench:
    """One server under test."""

    server: Server
    count: int
    notes: dict[str, list[str]] = field(default_factory=dict)

    def imap(self, user: str = "bench", *, select: str | None = "INBOX", tls: bool = False) -> Imap:
        client = Imap(self.server.imaps if tls else self.server.imap, user, tls=tls)
        if select:
            client.command(b"SELECT " + select.encode())
        client.received = 0
        return client


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_command(line: bytes, units: int | None = None) -> Callable[[Bench], Result]:
    def row(bench: Bench) -> Result:
        client = bench.imap()
        seconds = timed(lambda: client.command(line))
        client.close()
        return (bench.count if units is None else units), seconds, client.received

    return row


def login_sequential(bench: Bench) -> Result:
    def work() -> None:
        for _ in range(300):
            client = Imap(bench.server.imap, "bench")
            client.command(b"LOGOUT")
            client.close()

    return 300, timed(work), 0


def login_parallel(bench: Bench) -> Result:
    def one(number: int) -> None:
        client = Imap(bench.server.imap, f"user{number % 50}")
        client.command(b"LOGOUT")
        client.close()

    def work() -> None:
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(one, range(1000)))

    return 1000, timed(work), 0


def noop_one(bench: Bench) -> Result:
    client = bench.imap()

    def work() -> None:
        for _ in range(5000):
            client.command(b"NOOP")

    seconds = timed(work)
    client.close()
    return 5000, seconds, 0


def noop_many(bench: Bench) -> Result:
    clients = [bench.imap() for _ in range(50)]

    def work() -> None:
        for _ in range(400):
            for client in clients:
                client.number += 1
                client.socket.sendall(b"a%d NOOP\r\n" % client.number)
            for client in clients:
                client.until(b"a%d" % client.number)

    seconds = timed(work)
    for client in clients:
        client.close()
    return 20000, seconds, 0


def cold(bench: Bench) -> None:
    bench.server.stop()
    bench.server.forget_index()
    bench.server.start()


def cold_select(bench: Bench) -> Result:
    cold(bench)
    client = bench.imap(select=None)
    seconds = timed(lambda: client.command(b"SELECT INBOX"))
    client.close()
    return bench.count, seconds, 0


def cold_headers(bench: Bench) -> Result:
    cold(bench)
    client = bench.imap()
    seconds = timed(lambda: client.command(THUNDERBIRD))
    client.close()
    return bench.count, seconds, client.received


def select_warm(bench: Bench) -> Result:
    client = bench.imap()

    def work() -> None:
        for _ in range(5):
            client.command(b"SELECT INBOX")

    seconds = timed(work)
    client.close()
    return 5, seconds, 0


def bodies(bench: Bench) -> Result:
    client = bench.imap()
    first = random.Random(2).randrange(1, max(2, bench.count - 1000))
    units = min(1000, bench.count)
    seconds = timed(lambda: client.command(b"FETCH %d:%d BODY.PEEK[]" % (first, first + units - 1)))
    client.close()
    return units, seconds, client.received


def bodies_one_by_one(bench: Bench) -> Result:
    client = bench.imap()
    units = min(1000, bench.count)
    first = random.Random(3).randrange(1, max(2, bench.count - units))

    def work() -> None:
        for number in range(first, first + units):
            client.command(b"FETCH %d BODY.PEEK[]" % number)

    seconds = timed(work)
    client.close()
    return units, seconds, client.received


BIG = b"From: a@example.org\r\nSubject: big\r\n\r\n" + (b"x" * 76 + b"\r\n") * 320_000


def append_big(bench: Bench) -> Result:
    client = bench.imap(select=None)
    ensure(client, b"Big")
    seconds = timed(lambda: client.append(b"Big", BIG))
    client.close()
    return 1, seconds, len(BIG)


def fetch_big(bench: Bench) -> Result:
    client = bench.imap(select=None)
    ensure(client, b"Big")
    if b"* 0 EXISTS" in client.command(b"SELECT Big"):
        client.append(b"Big", BIG)
        client.command(b"NOOP")
    client.received = 0
    seconds = timed(lambda: client.command(b"FETCH * BODY.PEEK[]"))
    client.close()
    return 1, seconds, client.received


def ensure(client: Imap, mailbox: bytes) -> None:
    with contextlib.suppress(RuntimeError):
        client.command(b"CREATE " + mailbox)


def search(key: bytes) -> Callable[[Bench], Result]:
    return one_command(b"SEARCH " + key)


def store_one_by_one(bench: Bench) -> Result:
    client = bench.imap()
    units = min(1000, bench.count)
    picks = random.Random(4).sample(range(1, bench.count + 1), units)
    seconds = timed(lambda: [client.command(b"STORE %d +FLAGS (\\Flagged)" % number) for number in picks])
    client.command(b"STORE %s -FLAGS.SILENT (\\Flagged)" % b",".join(b"%d" % n for n in picks))
    client.close()
    return units, seconds, 0


def store_all(bench: Bench) -> Result:
    client = bench.imap()
    seconds = timed(lambda: client.command(b"STORE 1:* +FLAGS (\\Flagged)"))
    client.command(b"STORE 1:* -FLAGS.SILENT (\\Flagged)")
    client.close()
    return bench.count, seconds, client.received


def append_small(bench: Bench) -> Result:
    client = bench.imap(select=None)
    ensure(client, b"Small")

    def work() -> None:
        for _ in range(1000):
            client.append(b"Small", SMALL)

    seconds = timed(work)
    client.close()
    return 1000, seconds, 0


def transfer(verb: bytes) -> Callable[[Bench], Result]:
    def row(bench: Bench) -> Result:
        client = bench.imap(select=None)
        units = min(1000, bench.count)
        for name in (b"From", b"To"):
            with contextlib.suppress(RuntimeError):
                client.command(b"DELETE " + name)
            client.command(b"CREATE " + name)
        client.command(b"SELECT INBOX")
        client.command(b"COPY 1:%d From" % units)
        client.command(b"SELECT From")
        seconds = timed(lambda: client.command(b"%s 1:* To" % verb))
        client.close()
        return units, seconds, 0

    return row


def expunge(bench: Bench) -> Result:
    client = bench.imap(select=None)
    units = min(1000, bench.count)
    ensure(client, b"Gone")
    client.command(b"SELECT INBOX")
    client.command(b"COPY 1:%d Gone" % units)
    client.command(b"SELECT Gone")
    client.command(b"STORE 1:* +FLAGS.SILENT (\\Deleted)")
    seconds = timed(lambda: client.command(b"EXPUNGE"))
    client.close()
    return units, seconds, 0


def with_folders(work: Callable[[Imap, bytes], float], units: int) -> Callable[[Bench], Result]:
    def row(bench: Bench) -> Result:
        client = bench.imap(select=None)
        separator = b"/" if b'"/"' in client.command(b'LIST "" ""') else b"."
        if b"f199" not in client.command(b'LIST "" *'):
            for number in range(200):
                client.command(b"CREATE Folders%sf%d" % (separator, number))
        client.received = 0
        seconds = work(client, separator)
        client.close()
        return units, seconds, client.received

    return row


def status_all(client: Imap, separator: bytes) -> float:
    items = b"(MESSAGES UNSEEN UIDNEXT UIDVALIDITY RECENT)"
    return timed(lambda: [client.command(b"STATUS Folders%sf%d %s" % (separator, n, items)) for n in range(200)])


def list_all(client: Imap, separator: bytes) -> float:
    return timed(lambda: [client.command(b'LIST "" *') for _ in range(20)])


def list_status(client: Imap, separator: bytes) -> float:
    return timed(lambda: client.command(b'LIST "" * RETURN (STATUS (MESSAGES UNSEEN UIDNEXT))'))


def pop3_stat(bench: Bench) -> Result:
    def work() -> None:
        for _ in range(3):
            client = Pop3(bench.server.pop3, "bench")
            client.command(b"STAT")
            client.quit()

    return 3, timed(work), 0


def pop3_retr(bench: Bench) -> Result:
    client = Pop3(bench.server.pop3, "bench")
    units = min(1000, bench.count)

    def work() -> None:
        for number in range(1, units + 1):
            client.multiline(b"RETR %d" % number)

    seconds = timed(work)
    client.quit()
    return units, seconds, client.received


def deliver(maildir: Path, number: int) -> None:
    """As an MTA does: tmp/, then rename into new/."""
    name = f"{time.time():.6f}.{os.getpid()}_{number}.bench"
    (maildir / "tmp" / name).write_bytes(SMALL.replace(b"\r\n", b"\n"))
    shutil.chown(maildir / "tmp" / name, maildir.stat().st_uid, maildir.stat().st_gid)
    os.rename(maildir / "tmp" / name, maildir / "new" / name)


def idle_notices(bench: Bench, cause: Callable[[int], None], times: int) -> Result:
    client = bench.imap(user="user0")
    waits = []
    client.idle()
    time.sleep(0.3)
    for number in range(times):
        time.sleep(0.02 + 0.1 * random.Random(number).random())
        began = time.monotonic()
        cause(number)
        waits.append(client.wait_for(b"EXISTS") - began)
        time.sleep(0.35)
    client.done()
    client.close()
    waits.sort()
    bench.notes.setdefault("IDLE notices, ms: min / median / max", []).append(
        f"{waits[0] * 1e3:.1f} / {statistics.median(waits) * 1e3:.1f} / {waits[-1] * 1e3:.1f} of {times}"
    )
    return 1, statistics.median(waits), 0


def idle_delivery(bench: Bench) -> Result:
    bench.imap(user="user0").close()
    maildir = bench.server.maildir("user0")
    return idle_notices(bench, lambda number: deliver(maildir, number), 15)


def idle_append(bench: Bench) -> Result:
    other = bench.imap(user="user0", select=None)
    result = idle_notices(bench, lambda number: other.append(b"INBOX", SMALL), 15)
    other.close()
    return result


def idle_memory(tls: bool, users: int, sessions: int = 1000) -> Callable[[Bench], Result]:
    """kB of PSS that each idle session adds, told as `seconds` so that the table needs no second form."""

    def row(bench: Bench) -> Result:
        bench.server.restart()
        names = [f"user{n}" for n in range(users)]
        bench.imap(user=names[0]).close()
        time.sleep(1)
        empty = bench.server.pss()
        clients = [bench.imap(user=names[n % users], tls=tls) for n in range(sessions)]
        for client in clients:
            client.idle()
        time.sleep(3)
        each = (bench.server.pss() - empty) / sessions
        for client in clients:
            client.close()
        return sessions, each, 0

    return row


def noop_while_searching(bench: Bench) -> Result:
    """p99 in seconds of NOOP while another session of the same user searches uncached messages."""
    cold(bench)
    searcher, client = bench.imap(), bench.imap()
    over = threading.Event()

    def search_all() -> None:
        searcher.command(b"SEARCH BODY thiswordisnowhere")
        over.set()

    thread = threading.Thread(target=search_all)
    thread.start()
    waits = []
    while not over.is_set() and len(waits) < 5000:
        waits.append(timed(lambda: client.command(b"NOOP")))
        time.sleep(0.002)
    client.close()
    thread.join()
    searcher.close()
    waits.sort()
    bench.notes.setdefault("NOOP beside a search, ms: median / p99 / max", []).append(
        f"{statistics.median(waits) * 1e3:.2f} / {waits[len(waits) * 99 // 100] * 1e3:.2f} / {waits[-1] * 1e3:.2f}"
    )
    return 1, waits[len(waits) * 99 // 100], 0


def fill_users(bench: Bench, source: Path, each: int) -> None:
    """Give the thousand users `each` messages: hard links, so that they cost names only."""
    names = sorted(os.listdir(source / "cur"))[:each]
    for number in range(1000):
        maildir = bench.server.maildir(f"user{number}")
        if maildir.exists():
            continue
        for name in ("cur", "new", "tmp"):
            (maildir / name).mkdir(parents=True)
        for name in names:
            os.link(source / "cur" / name, maildir / "cur" / name)
    subprocess.run(["sync"], check=True)


@dataclass(frozen=True)
class Row:
    """A line of the table. `slow` rows are run once; `unit` says what `seconds` really is for the odd ones."""

    name: str
    run: Callable[[Bench], Result]
    slow: bool = False
    unit: str = "s"


ROWS = (
    Row("cold SELECT", cold_select, slow=True),
    Row("cold Thunderbird headers", cold_headers, slow=True),
    Row("login sequential", login_sequential),
    Row("login 50 parallel", login_parallel),
    Row("NOOP 1 connection", noop_one),
    Row("NOOP 50 connections", noop_many),
    Row("SELECT warm", select_warm),
    Row("FETCH FLAGS", one_command(b"FETCH 1:* (FLAGS)")),
    Row("FETCH ENVELOPE+BODYSTRUCTURE", one_command(b"FETCH 1:* (ENVELOPE BODYSTRUCTURE)")),
    Row("FETCH Thunderbird headers", one_command(THUNDERBIRD)),
    Row("FETCH 1000 bodies", bodies),
    Row("FETCH 1000 bodies one by one", bodies_one_by_one),
    Row("APPEND 25 MB", append_big),
    Row("FETCH one 25 MB body", fetch_big),
    Row("SEARCH UNSEEN", search(b"UNSEEN")),
    Row("SEARCH SINCE", search(b"SINCE 1-Jan-2025")),
    Row("SEARCH FROM", search(b"FROM hanna.garcia")),
    Row("SEARCH SUBJECT", search(b"SUBJECT budget")),
    Row("SEARCH TEXT common", search(b"TEXT " + COMMON.encode()), slow=True),
    Row("SEARCH TEXT rare", search(b"TEXT " + RARE.encode()), slow=True),
    Row("SEARCH BODY common", search(b"BODY " + COMMON.encode()), slow=True),
    Row("SEARCH BODY rare", search(b"BODY " + RARE.encode()), slow=True),
    Row("SEARCH BODY absent", search(b"BODY thiswordisnowhere"), slow=True),
    Row("STORE one by one x1000", store_one_by_one),
    Row("STORE 1:*", store_all, slow=True),
    Row("APPEND 1000 small", append_small),
    Row("COPY 1000", transfer(b"COPY")),
    Row("MOVE 1000", transfer(b"MOVE")),
    Row("EXPUNGE 1000", expunge),
    Row("STATUS x200 folders", with_folders(status_all, 200)),
    Row("LIST (200+ folders) x20", with_folders(list_all, 20)),
    Row("LIST RETURN STATUS", with_folders(list_status, 1)),
    Row("POP3 login+STAT", pop3_stat),
    Row("POP3 RETR 1000", pop3_retr),
    Row("IDLE latency: Maildir delivery", idle_delivery),
    Row("IDLE latency: APPEND elsewhere", idle_append),
    Row("NOOP p99 beside a search", noop_while_searching, slow=True),
    Row("memory of an idle session, one user", idle_memory(False, 1), slow=True, unit="kB"),
    Row("memory of an idle TLS session, one user", idle_memory(True, 1), slow=True, unit="kB"),
    Row("memory of an idle session, 1000 users", idle_memory(False, 1000), slow=True, unit="kB"),
    Row("memory of an idle TLS session, 1000 users", idle_memory(True, 1000), slow=True, unit="kB"),
)
