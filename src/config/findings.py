"""What is wrong, or worth a warning, in a configuration file, and where.

A finding always names the file; the line is 0 when it concerns the file as a whole.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One error or warning; `key` is the dotted path as an administrator would write it."""

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


class ConfigErrors(Exception):
    """Every error of a configuration file, in the order of their lines."""

    def __init__(self, errors: list[Finding]) -> None:
        super().__init__(errors)
        self.errors = sorted(errors, key=lambda finding: (finding.line, finding.key))

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)
