"""Folders for two servers that run as different users."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.dovecot import reachable_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where both servers can read and write."""
    with reachable_folder() as made:
        yield made
