"""User names and the paths made from them: {user}, {local}, {domain} and {home}, always path-safe.

A name comes from a stranger. Whatever it is, an expanded path lies where the template's author meant it to lie:
a name that could leave its place or stand for several users is refused before anything
is expanded. An empty {domain} or {local} is refused too, since `/vhosts//x` would be another domain's folder.
"""

import re
import unicodedata
from collections.abc import Callable

_FIELD = re.compile(r"\{([a-z]+)(?::([a-z]+))?\}")
_BAD = re.compile(r"[\x00-\x20\x7f/\\:]")
_USER_FIELDS = frozenset({"user", "local", "domain"})
_CHANGES: dict[str | None, Callable[[str], str]] = {None: lambda text: text, "lower": str.lower, "upper": str.upper}
MAX_NAME = 200
"""Octets; leaves room for what is added to it within a file system's 255."""


class UnsafeName(ValueError):
    """A user name that must not become part of a path; the text says why, without the name."""


def check_user(user: str) -> str:
    """The name itself, when every part of it is safe as a path component."""
    if not user:
        raise UnsafeName("the user name is empty")
    try:
        octets = user.encode()
    except UnicodeEncodeError:
        raise UnsafeName("the user name is not valid Unicode") from None
    if len(octets) > MAX_NAME:
        raise UnsafeName(f"the user name is longer than {MAX_NAME} octets")
    if _BAD.search(user) or not (user.isascii() or all(unicodedata.category(letter)[0] not in "CZ" for letter in user)):
        raise UnsafeName("the user name has a space, a control character or one of / \\ : in it")
    local, at, domain = user.partition("@")
    if "@" in domain or (at and not domain) or not local:
        raise UnsafeName("the user name is not of the form local or local@domain")
    if any(part.startswith(".") for part in (local, domain)):
        raise UnsafeName("a part of the user name begins with a dot")
    return user


def fields_of(template: str) -> set[str]:
    """The names in braces; ValueError when there is one that is not known, or a stray brace."""
    rest = _FIELD.sub("", template)
    if "{" in rest or "}" in rest:
        raise ValueError("stray brace; known are {user}, {local}, {domain}, {home}, and {user:lower}, {user:upper}")
    names = set()
    for name, change in _FIELD.findall(template):
        if name not in _USER_FIELDS and name != "home":
            raise ValueError(f"{{{name}}} is not known; known are {{user}}, {{local}}, {{domain}}, {{home}}")
        if (change or None) not in _CHANGES:
            raise ValueError(f"{{{name}:{change}}} is not known; use :lower or :upper")
        names.add(name)
    return names


def _fill(template: str, user: str, home: str) -> str:
    local, _, domain = user.partition("@")
    values = {"user": user, "local": local, "domain": domain, "home": home}

    def value(found: re.Match[str]) -> str:
        name, change = found.groups()
        if not values[name]:
            raise UnsafeName(f"the user name has no {name}" if name != "home" else "the user has no home")
        return _CHANGES[change](values[name])

    return _FIELD.sub(value, template)


def user_form(template: str, name: str) -> str:
    """The normal form of a user name as a client sent it, for example by `{user:lower}`."""
    return check_user(_fill(template, check_user(name), ""))


def expand(template: str, user: str, home: str = "") -> str:
    """The template with the user's parts filled in. `user` may come from anywhere; `home` is the administrator's."""
    return _fill(template, check_user(user), home)
