"""Which processes have a mailbox in view, so that an expunge keeps the message readable for them.

A marker file `<index>.viewers/<mailbox id>-<pid>` exists while that process has views on the mailbox. Rules that keep
it right: a process makes its marker before it reads the snapshot it will show, and looks for others' markers only with
the account's write lock held; so an expunge either is in that snapshot or finds the marker. A marker of a process that
is gone is removed by whoever meets it.
"""

import contextlib
import os


class Viewers:
    """The markers of one account."""

    def __init__(self, index: str) -> None:
        self._folder = index + ".viewers"
        self.pid = os.getpid()

    def add(self, mailbox_id: str) -> None:
        """This process has it in view. Without a place for the marker other processes keep nothing for us."""
        path = os.path.join(self._folder, f"{mailbox_id}-{self.pid}")
        flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        for _ in range(2):
            try:
                os.close(os.open(path, flags, 0o600))
            except FileNotFoundError:
                with contextlib.suppress(OSError):
                    os.makedirs(self._folder, 0o700, exist_ok=True)
            except OSError:
                return
            else:
                return

    def remove(self, mailbox_id: str) -> None:
        """This process has it in view no longer."""
        self._unlink(f"{mailbox_id}-{self.pid}")

    def of(self, mailbox_id: str) -> list[int]:
        """Ids of the living processes, this one included, that have it in view."""
        prefix = mailbox_id + "-"
        return [pid for name, pid in self._living() if name.startswith(prefix)]

    def clean(self) -> None:
        """Remove the markers of processes that are gone."""
        for _ in self._living():
            pass

    def _living(self) -> list[tuple[str, int]]:
        """(marker, pid) of those whose process lives."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return []
        living = []
        for name in names:
            digits = name.rpartition("-")[2]
            if not (digits.isascii() and digits.isdigit()):
                continue
            pid = int(digits)
            if _alive(pid):
                living.append((name, pid))
            else:
                self._unlink(name)
        return living

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._folder, name))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
