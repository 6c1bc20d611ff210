"""LMDB environments: opened once per process, checked before use, closed when long unused."""


class Environments:
    """All environments of this process. One per process, handed to every AccountIndex."""

    def __init__(self, limit: int = 64, map_size: int = 16 << 30) -> None:
        """Keep at most `limit` open (more while that many are in use)."""
        raise NotImplementedError

    @property
    def write_started(self) -> float | None:
        """When the oldest write transaction now running was asked for (time.monotonic), None when none runs."""
        raise NotImplementedError

    def close(self) -> None:
        """Flush and close all that are not in use."""
        raise NotImplementedError
