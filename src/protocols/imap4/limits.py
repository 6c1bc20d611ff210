"""What one IMAP connection may cost. The server may give other limits than these."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may cost."""

    line: int = 65_536
    line_before_login: int = 36_864
    """An ID with thirty fields of full length (RFC 2971 3.3) fits, little more."""
    literal: int = 65_536
    """A literal other than a message."""
    literal_before_login: int = 4096
    command: int = 262_144
    """A command with its literals, messages apart."""
    command_before_login: int = 49_152
    drop: int = 134_217_728
    """Octets of a refused command that are read and dropped, to keep the connection."""
    drop_before_login: int = 1_048_576
    buffer: int = 131_072
    """Octets that are read ahead of the running command."""
    bad_commands: int = 20
    """Commands in a row that were no commands."""
    bad_commands_before_login: int = 3
    failed_logins: int = 5
    commands_before_login: int = 100
    idle_before_login: float = 180.0
    idle: float = 1860.0
    """Seconds without a command (RFC 3501 5.4: at least 30 minutes)."""
