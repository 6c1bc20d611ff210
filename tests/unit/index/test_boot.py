"""What the last boot left is believed only when it is known to be on the disk."""

import os

import pytest

from culverhouse.index import folder
from culverhouse.model.flags import SEEN


@pytest.fixture
def full(bench, monkeypatch):
    bench.create()
    bench.add(1, 2)

    def reboot():
        bench.account.close()
        monkeypatch.setattr(folder, "boot_id", lambda: os.urandom(8).hex().encode())
        now = folder.boot_id()
        monkeypatch.setattr(folder, "boot_id", lambda: now)

    bench.reboot = reboot
    return bench


def events(bench):
    return [report.event for report in bench.account.drain_reports()]


def test_the_same_boot_is_trusted(full):
    full.account.close()
    assert full.box.head().messages == 2


def test_unsynced_is_dropped_after_a_reboot(full):
    full.reboot()
    assert full.box.head() is None
    assert events(full) == ["index-unsynced"]
    assert folder.damaged(full.path) == []
    full.create()
    full.add(1)
    assert full.box.head().messages == 1


def test_synced_survives_a_reboot(full):
    assert full.account.sync()
    full.reboot()
    assert full.box.head().messages == 2
    full.reboot()
    assert full.box.head().messages == 2
    assert events(full) == []


def test_a_write_after_the_sync_undoes_it(full):
    full.account.sync()
    full.flag(1, SEEN)
    assert not os.path.exists(f"{full.path}/clean")
    full.reboot()
    assert full.box.head() is None


def test_an_old_mark_with_a_newer_file_is_not_believed(full):
    """The mark's removal did not reach the disk, the transaction after it did."""
    full.account.sync()
    with open(f"{full.path}/clean", "rb") as file:
        mark = file.read()
    full.flag(1, SEEN)
    with open(f"{full.path}/clean", "wb") as file:
        file.write(mark)
    full.reboot()
    assert full.box.head() is None


def test_closing_the_registry_syncs_what_was_written(full):
    full.environments.close()
    full.reboot()
    assert full.box.head().messages == 2


def test_maintenance_syncs_what_was_left_alone(full):
    full.environments.maintain(3600)
    assert not os.path.exists(f"{full.path}/clean")
    full.environments.maintain(0)
    assert os.path.exists(f"{full.path}/clean")
    full.account.close()
    full.environments.maintain(0)
    full.flag(1, SEEN)
    full.account.close()
    full.environments.maintain(0)
    full.reboot()
    assert full.box.snapshot().flags_of(1) == SEEN


def test_without_a_boot_id_only_the_mark_counts(full, monkeypatch):
    full.account.close()
    monkeypatch.setattr(folder, "boot_id", lambda: b"")
    assert full.box.head() is None


def test_somebody_who_writes_during_the_sync_keeps_it_from_being_marked(full, monkeypatch):
    texts = []
    real = folder._clean_text

    def clean_text(environment):
        texts.append(real(environment))
        return texts[-1] if len(texts) == 1 else b"another transaction"

    monkeypatch.setattr(folder, "_clean_text", clean_text)
    assert not full.account.sync()
    assert len(texts) == 2
    assert sorted(os.listdir(full.path)) == ["boot", "data.mdb", "lock.mdb"]
