"""The import picture of docs/architecture.md, held by a walk over every import statement."""

import ast
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"

# Each room and the rooms it may import, besides itself and model.
ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "message": set(),
    "mailstore": {"message"},
    "index": {"message"},
    "account": {"mailstore", "index", "message"},
    "auth": set(),
    "protocols": {"account", "message"},
    "config": set(),
    "server": {"protocols", "account", "auth", "config", "message", "mailstore", "index"},
    "cli": {"server", "config", "protocols", "account", "auth", "message", "mailstore", "index"},
}
THIRD_PARTY: dict[str, set[str]] = {
    "lmdb": {"index"},
    "xxhash": {"index", "mailstore", "message", "account"},
    "twisted": {"server"},
    "zope": {"server"},
    "OpenSSL": {"server"},
    "inotify_simple": {"server"},
    "prometheus_client": {"server"},
    "cryptography": {"server", "cli"},
    "shtab": {"cli"},
    "passlib": {"auth"},
}


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def imports(path: Path) -> list[tuple[int, str, int]]:
    """Every import of a file as (level, module, line); `from . import x` counts as module x."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(0, alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.module is None:
                found += [(node.level, alias.name, node.lineno) for alias in node.names]
            else:
                found.append((node.level, node.module, node.lineno))
    return found


def room_of(path: Path) -> str:
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else ""


def target(path: Path, level: int, module: str) -> tuple[str, ...]:
    """The imported module's place inside src/ as parts."""
    package = list(path.relative_to(SRC).parts[:-1])
    base = package[: len(package) - (level - 1)]
    return (*base, *module.split("."))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SRC)))
def test_imports_follow_the_picture(path: Path) -> None:
    room = room_of(path)
    wrong = []
    for level, module, line in imports(path):
        if level:
            other = target(path, level, module)[0]
            if not room or other in (room, "model") or other in ALLOWED.get(room, set()):
                continue
            if other == "__version__" or (SRC / f"{other}.py").exists():
                continue
            wrong.append(f"line {line}: {room} imports {other}")
            continue
        top = module.split(".")[0]
        if top == "culverhouse":
            wrong.append(f"line {line}: absolute import of {module}")
        elif top not in sys.stdlib_module_names and room not in THIRD_PARTY.get(top, set()):
            wrong.append(f"line {line}: {room or 'the root'} imports {top}")
    assert not wrong, f"{path}: {wrong}"


def test_protocols_do_not_know_each_other() -> None:
    wrong = []
    for path in (SRC / "protocols").rglob("*.py"):
        parts = path.relative_to(SRC).parts
        mine = parts[1] if len(parts) > 2 else None
        for level, module, line in imports(path):
            if level:
                other = target(path, level, module)
                if mine and other[:1] == ("protocols",) and len(other) > 2 and other[1] != mine:
                    wrong.append(f"{path}:{line} imports {'.'.join(other)}")
    assert not wrong


def test_only_passwords_imports_passlib() -> None:
    users = {p.relative_to(SRC).as_posix() for p in modules() for _, m, _ in imports(p) if m.startswith("passlib")}
    assert users == {"auth/passwords.py"}


def test_every_directory_of_src_is_an_installed_package() -> None:
    from setuptools import find_packages

    packages = set(find_packages(str(SRC)))
    with_code = {".".join(p.parent.relative_to(SRC).parts) for p in modules() if p.parent != SRC}
    assert with_code == packages


def test_rooms_are_the_known_ones() -> None:
    rooms = {p.relative_to(SRC).parts[0] for p in modules() if p.parent != SRC}
    assert rooms == set(ALLOWED)
