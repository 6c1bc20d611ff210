"""Reads the configuration file: one `Config`, or all of its errors at once.

A file that is no TOML is mended for the sake of the report alone: the line in question is left out and reading goes
on, so that three typing errors show as three errors; what such a file says is never used.
"""

import dataclasses
import re
import tomllib
from typing import Any

from .checks import check
from .findings import ConfigErrors, Finding
from .positions import Path, Positions
from .schema import Config
from .values import Place, Wrong, table

MAX_FILE = 4_000_000
_MAX_SYNTAX_ERRORS = 20
_AT_LINE = re.compile(r"\s*\(at line (\d+), column (\d+)\)$")


def load(path: str) -> Config:
    """The settings in `path`; raises ConfigErrors with everything that is wrong."""
    findings: list[Finding] = []
    source = _read(path)
    tree, source = _parse(path, source, findings)
    broken = bool(findings)
    positions = Positions(source)
    place = Place(path, positions, findings)
    config = None
    try:
        config = table(Config)(tree, place)
    except Wrong as wrong:  # pragma: no cover - a parsed TOML file is always a table
        place.report(str(wrong))
    if broken:  # a key may be missing only because its line could not be read
        findings = [finding for finding in findings if finding.text != "is missing"]
    warnings: list[Finding] = []
    if config is not None and not findings:

        def at(path_in_file: Path) -> Place:
            where = place
            for step in path_in_file:
                where /= step
            return where

        check(
            config,
            lambda where, text: findings.append(at(where).finding(text)),
            lambda where, text: warnings.append(at(where).finding(text)),
        )
    if findings or config is None:
        raise ConfigErrors(findings)
    return dataclasses.replace(config, path=path, warnings=tuple(warnings))


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigErrors([Finding(path, 0, "", f"cannot be read: {error.strerror or error}")]) from None
    if len(data) > MAX_FILE:
        raise ConfigErrors([Finding(path, 0, "", f"is larger than {MAX_FILE} octets")])
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigErrors([Finding(path, line, "", "is not valid UTF-8")]) from None


def _parse(path: str, source: str, findings: list[Finding]) -> tuple[dict[str, Any], str]:
    """The parsed tree and the text it came from; syntax errors are reported and their lines left out."""
    lines = source.split("\n")
    last = 0
    for _ in range(_MAX_SYNTAX_ERRORS):
        try:
            return tomllib.loads(source), source
        except tomllib.TOMLDecodeError as error:
            message = str(error)
        except RecursionError:
            message = "is nested too deeply"
        found = _AT_LINE.search(message)
        line = int(found[1]) if found else 0
        text = _AT_LINE.sub("", message).replace(" (at end of document)", "")
        if text == "Cannot overwrite a value":
            text = f"{lines[line - 1].partition('=')[0].strip()} is given twice"
        elif text.startswith("Cannot declare"):
            text = f"{lines[line - 1].strip()} is given twice"
        if line <= last:  # the end of the document, or no progress: what follows would be noise
            if not findings or not found:
                findings.append(Finding(path, line or len(lines), "", text))
            break
        findings.append(Finding(path, line, "", text))
        last = line
        lines[line - 1] = ""
        source = "\n".join(lines)
    raise ConfigErrors(findings)
