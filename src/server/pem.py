"""A certificate and its key as they travel from the supervisor, which may read them, to the workers, which use them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pem:
    """One certificate with its chain and its key."""

    name: str
    """For messages only: the certificate's file."""
    certificate: bytes
    key: bytes
    names: tuple[str, ...] = ()
    """Host names to show it for; empty: those it carries itself."""

    def __repr__(self) -> str:
        return f"Pem({self.name!r})"
