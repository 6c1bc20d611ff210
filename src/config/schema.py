"""The settings, as frozen dataclasses. Each field names its reader and its default; the class is its own table.

A setting is added here and nowhere else. Names and defaults of the documented file are a promise to
administrators: change one only together with the documentation and its tests. What one setting means for another
is checked in `checks.py`.
"""

# ruff: noqa: RUF009 - setting() only makes a dataclass field; the defaults are frozen themselves

import ipaddress
from dataclasses import dataclass
from typing import Any

from .expand import fields_of
from .findings import Finding
from .values import (
    REQUIRED,
    Network,
    Place,
    Wrong,
    absolute,
    count,
    duration,
    filled,
    flag,
    kind_of,
    list_of,
    mapping_of,
    nearest,
    network,
    one_of,
    setting,
    size,
    table,
    text,
)

MAX_OCTETS = 2**40
DAY = 86400


def template(value: Any, place: Place) -> str:
    """Text with {user}, {local}, {domain}, {home}."""
    words = filled(value, place)
    try:
        fields_of(words)
    except ValueError as error:
        raise Wrong(str(error)) from None
    return words


def user_template(value: Any, place: Place) -> str:
    """A template of the user's parts alone."""
    words = template(value, place)
    if "home" in fields_of(words):
        raise Wrong("{home} is not known here")
    if not fields_of(words):
        raise Wrong("has none of {user}, {local}, {domain}: all users would be one")
    return words


def path_template(value: Any, place: Place) -> str:
    """An absolute path, or one that begins with {home}."""
    words = template(value, place)
    if not words.startswith(("/", "{home}")):
        raise Wrong("expected an absolute path")
    if ".." in words.split("/"):
        raise Wrong("a path must not have .. in it")
    return words


def home_template(value: Any, place: Place) -> str:
    """Where a user's home lies, unless the password backend names one."""
    words = path_template(value, place)
    if "home" in fields_of(words):
        raise Wrong("{home} cannot be made from itself")
    return words


def store_template(value: Any, place: Place) -> str:
    """`maildir:PATH`."""
    kind, colon, path = template(value, place).partition(":")
    if kind == "mbox":
        raise Wrong("mbox stores are not served yet; only maildir:PATH is")
    if kind != "maildir" or not colon:
        raise Wrong('expected "maildir:PATH", for example "maildir:{home}/Maildir"')
    if ":" in path:
        raise Wrong("options after the path are not known; layout, index and prefix are settings of their own")
    return f"maildir:{path_template(path, place)}"


def separator(value: Any, place: Place) -> str:
    """The one character between the parts of a mailbox name."""
    character = filled(value, place)
    if character not in ("/", ".", "|", "^", "\\"):
        raise Wrong("expected one of / . | ^ \\")
    return character


def ciphers(value: Any, place: Place) -> str:
    """An OpenSSL cipher list for TLS 1.2."""
    words = filled(value, place)
    if not all(word.isascii() and (word.isalnum() or word in "+-!@=:._") for word in words):
        raise Wrong("expected an OpenSSL cipher list like ECDHE+AESGCM:ECDHE+CHACHA20")
    return words


@dataclass(frozen=True, slots=True)
class Listener:
    """One place to listen on: `host` and `port`, or `path` of a UNIX socket."""

    host: str = ""
    port: int = 0
    path: str = ""
    proxy: tuple[Network, ...] = ()
    """Peers from these networks must, and only they may, begin with a PROXY protocol header."""
    mode: int = 0o660
    """Permissions of a UNIX socket."""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(words: str) -> Listener:
    """`127.0.0.1:143`, `[::1]:143` or `unix:/path`."""
    if words.startswith("unix:"):
        path = words.removeprefix("unix:")
        if not path.startswith("/") or ".." in path.split("/") or len(path.encode()) > 100:
            raise Wrong("expected unix: and an absolute path of at most 100 octets")
        return Listener(path=path)
    host, colon, port = words.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise Wrong(f'expected "host:port", "[::1]:port" or "unix:/path", found {words!r}')
    host = "127.0.0.1" if host == "localhost" else host
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        hint = "; for all addresses write two entries, 0.0.0.0:PORT and [::]:PORT" if host in ("", "*") else ""
        raise Wrong(f"expected an IP address before the port, found {host!r}{hint}") from None
    if (ip.version == 6) != bracketed:
        raise Wrong("an IPv6 address, and only that, is written in brackets")
    return Listener(host=str(ip), port=int(port))


@dataclass(frozen=True, slots=True)
class _ListenerTable:
    address: str = setting(filled)
    proxy: tuple[Network, ...] = setting(list_of(network), ())
    mode: str = setting(text, "0660")


def listener(value: Any, place: Place) -> Listener:
    """An address, or a table `{ address = …, proxy = […], mode = "0660" }`."""
    if isinstance(value, str):
        return address(text(value, place))
    if not isinstance(value, dict):
        raise Wrong(f'expected "host:port" or a table, found {kind_of(value)}')
    read = table(_ListenerTable)(value, place)
    if read.address is REQUIRED:
        return Listener()
    place /= "address"
    found = address(read.address)
    if not (1 <= len(read.mode) <= 4 and set(read.mode) <= set("01234567")):
        raise Wrong(f'expected a mode like "0660", found {read.mode!r}')
    return Listener(found.host, found.port, found.path, read.proxy, int(read.mode, 8))


_listeners = list_of(listener)


@dataclass(frozen=True, slots=True)
class Listen:
    """[listen]: which services, where."""

    imap: tuple[Listener, ...] = setting(_listeners, ())
    imaps: tuple[Listener, ...] = setting(_listeners, ())
    pop3: tuple[Listener, ...] = setting(_listeners, ())
    pop3s: tuple[Listener, ...] = setting(_listeners, ())
    lmtp: tuple[Listener, ...] = setting(_listeners, ())
    sasl: tuple[Listener, ...] = setting(_listeners, ())
    metrics: tuple[Listener, ...] = setting(_listeners, ())


@dataclass(frozen=True, slots=True)
class Certificate:
    """[[tls.sni]]: a certificate for some names; without `names` those it carries itself."""

    certificate: str = setting(absolute)
    key: str = setting(absolute)
    names: tuple[str, ...] = setting(list_of(filled), ())


@dataclass(frozen=True, slots=True)
class Tls:
    """[tls]: "" for certificate and key means that there is no TLS."""

    certificate: str = setting(absolute, "")
    key: str = setting(absolute, "")
    minimum: str = setting(one_of("1.2", "1.3"), "1.2")
    ciphers: str = setting(ciphers, "ECDHE+AESGCM:ECDHE+CHACHA20")
    sni: tuple[Certificate, ...] = setting(list_of(table(Certificate)), ())


@dataclass(frozen=True, slots=True)
class PasswdFile:
    """[[auth.backend]] kind = "passwd-file": Dovecot's format."""

    kind: str = setting(one_of("passwd-file"))
    path: str = setting(absolute)
    default_scheme: str = setting(filled, "CRYPT")
    """Of a password without {SCHEME}."""


Backend = PasswdFile
_BACKENDS: dict[str, type[Backend]] = {"passwd-file": PasswdFile}


def backend(value: Any, place: Place) -> Backend:
    """A password backend: `kind` decides which settings there are."""
    if not isinstance(value, dict):
        raise Wrong(f"expected a table, found {kind_of(value)}")
    kind = value.get("kind")
    if not isinstance(kind, str):
        raise Wrong(f"kind is missing; {nearest('', _BACKENDS)}")
    if kind not in _BACKENDS:
        raise Wrong(f"kind {kind!r} is not known; {nearest(kind, _BACKENDS)}")
    return table(_BACKENDS[kind])(value, place)


_mechanism = one_of("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")


@dataclass(frozen=True, slots=True)
class Auth:
    """[auth]: who may come in, and how."""

    cleartext: str = setting(one_of("tls", "always"), "tls")
    username_format: str = setting(user_template, "{user:lower}")
    user: str = setting(filled, "")
    mechanisms: tuple[str, ...] = setting(list_of(_mechanism), ())
    """Empty: PLAIN and LOGIN, and SCRAM where every stored password can serve it."""
    backend: tuple[Backend, ...] = setting(list_of(backend), ())
    cache: int = setting(duration(0, DAY), 3600)
    """How long a right password is remembered (as an HMAC); 0: not at all."""


@dataclass(frozen=True, slots=True)
class Mail:
    """[mail]: where the mail lies."""

    home: str = setting(home_template)
    store: str = setting(store_template, "maildir:{home}/Maildir")
    layout: str = setting(one_of("maildir++", "fs"), "maildir++")
    separator: str = setting(separator, "/")
    prefix: str = setting(text, "")
    max_message_size: int = setting(size(10_000, MAX_OCTETS), 50_000_000)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """[[mailbox]]: made for every new account; the name in Unicode, with the separator, without the prefix."""

    name: str = setting(filled)
    special_use: str | None = setting(
        one_of("\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"), None
    )
    subscribe: bool = setting(flag, True)


@dataclass(frozen=True, slots=True)
class Index:
    """[index]: the LMDB environments, on a local disk."""

    path: str = setting(path_template, "/var/lib/culverhouse/index/{user}")
    map_size: int = setting(size(2**24, 2**42), 2**34)
    """The most that one account's index can grow to; it is reserved in addresses, not on the disk."""
    open_limit: int = setting(count(1, 10_000), 64)
    """Environments that a process keeps open."""


@dataclass(frozen=True, slots=True)
class Server:
    """[server]: processes and logs."""

    workers: int = setting(count(0, 256), 0)
    helpers: int = setting(count(0, 256), 0)
    threads: int = setting(count(1, 256), 16)
    """Of one worker, for what waits for the disk."""
    user: str = setting(filled, "")
    runtime_dir: str = setting(absolute, "/run/culverhouse")
    log_format: str = setting(one_of("plain", "json"), "plain")
    log_level: str = setting(one_of("debug", "info", "warning", "error"), "info")
    rawlog: dict[str, str] = setting(mapping_of(absolute), {})
    """User → directory that gets a raw log of each of the user's sessions, without passwords."""


@dataclass(frozen=True, slots=True)
class Limits:
    """[limits]: what one client, one address and all together may ask for."""

    max_connections: int = setting(count(1, 1_000_000), 20_000)
    """All workers together."""
    sessions_per_user_and_address: int = setting(count(0, 100_000), 50)
    """The stalest idle session gives way to a new one; 0: no limit."""
    connections_before_login_per_address: int = setting(count(1, 100_000), 100)
    line: int = setting(size(1_000, 2**24), 64_000)
    """Of a command line; RFC 7162 section 4 asks for 8192 octets at least."""
    literal: int = setting(size(1_000, 2**26), 1_000_000)
    """Of a literal that is no message."""
    literal_before_login: int = setting(size(128, 2**20), 4_096)
    command: int = setting(size(1_000, 2**27), 4_000_000)
    """Of a whole command without the messages in it."""
    commands_before_login: int = setting(count(1, 10_000), 50)
    bad_commands: int = setting(count(1, 10_000), 50)
    """Wrong commands in a row, after which the connection is closed."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """[timeouts]: the RFCs' minimums are the least that can be set."""

    login: int = setting(duration(5, 3600), 180)
    """To be logged in."""
    tls_handshake: int = setting(duration(1, 600), 30)
    imap: int = setting(duration(1800, 7 * DAY, "RFC 3501 5.4 asks for 30 minutes at least"), 1860)
    pop3: int = setting(duration(600, DAY, "RFC 1939 section 3 asks for 10 minutes at least"), 600)
    still_here: int = setting(duration(15, 1740), 120)
    """The longest silence of ours in IDLE."""
    write: int = setting(duration(10, 3600), 300)
    """How long a client may not take what is sent to it."""
    auth: int = setting(duration(1, 300), 30)
    """For an answer of the auth process."""
    stop: int = setting(duration(0, 600), 5)
    """For sessions to end at SIGTERM."""


_DEFAULT_MAILBOXES = (
    Mailbox("Drafts", "\\Drafts"),
    Mailbox("Sent", "\\Sent"),
    Mailbox("Junk", "\\Junk"),
    Mailbox("Trash", "\\Trash"),
)


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    listen: Listen = setting(table(Listen))
    auth: Auth = setting(table(Auth))
    mail: Mail = setting(table(Mail))
    tls: Tls = setting(table(Tls), Tls())
    mailbox: tuple[Mailbox, ...] = setting(list_of(table(Mailbox)), _DEFAULT_MAILBOXES)
    index: Index = setting(table(Index), Index())
    server: Server = setting(table(Server), Server())
    limits: Limits = setting(table(Limits), Limits())
    timeouts: Timeouts = setting(table(Timeouts), Timeouts())
    path: str = ""
    """The file this was read from."""
    warnings: tuple[Finding, ...] = ()
