"""What can go wrong in the index.

Only `IndexUnavailable` and `CeilingNeeded` leave the package, and only out of writing calls. Reading calls never
raise: what cannot be read is "not indexed" (None), and a `Report` says why.
"""


class IndexUnavailable(Exception):
    """The index cannot be written now: folder not writable, disk full, no descriptors. The account layer turns it
    into MailError(UNAVAILABLE); nothing was changed in the index."""


class CeilingNeeded(Exception):
    """The next modseq would pass the ceiling that the store holds: reserve a higher one, then merge again with it."""

    def __init__(self, modseq: int) -> None:
        super().__init__(modseq)
        self.modseq = modseq


class NotIndexed(Exception):
    """The mailbox has no usable rows (never indexed, lost, dropped for damage): build it from the store again."""


class IndexDamaged(Exception):
    """Inside this package only: LMDB or a checksum says that the environment cannot be trusted."""


class IndexUnsynced(IndexDamaged):
    """Inside this package only: written before the last boot, and nobody knows how much of it reached the disk."""


class Unsound(Exception):
    """Inside this package only: a mailbox's rows do not fit its head."""
