"""What the settings mean for each other and for this machine: what no single value shows.

Runs only on a configuration whose values were all read. Errors are what would make the server fail, serve wrong
mail or serve nobody; what may be meant that way is a warning. Only the machine's facts are looked at, never the
content of a file that may hold secrets.
"""

import os
import pwd
from collections.abc import Callable

from .expand import fields_of
from .positions import Path
from .schema import Config, Listener

Say = Callable[[Path, str], None]

_NETWORK_FILE_SYSTEMS = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "ocfs2",
        "gfs2",
        "9p",
        "beegfs",
        "gpfs",
        "ncpfs",
        "coda",
        "davfs",
        "orangefs",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.s3fs",
        "fuse.davfs2",
        "fuse.rclone",
        "fuse.lizardfs",
        "fuse.moosefs",
        "fuse.juicefs",
        "fuse.gcsfuse",
    )
)
_SERVICES = ("imap", "imaps", "pop3", "pop3s")


def file_system(path: str, mountinfo: str) -> str:
    """The type of the file system that holds `path`, by the text of /proc/self/mountinfo (proc(5)); "" if unknown."""
    best = -1
    kind = ""
    for line in mountinfo.splitlines():
        fields, dash, rest = line.partition(" - ")
        columns = fields.split()
        if not dash or len(columns) < 5 or not rest.split():
            continue
        mount = columns[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        inside = mount == "/" or path == mount or path.startswith(mount + "/")
        if inside and len(mount) >= best:  # of two mounts on one place the later hides the earlier
            best, kind = len(mount), rest.split()[0]
    return kind


def is_network(kind: str) -> bool:
    """Whether a file system type is shared between machines, where LMDB's locks and mappings do not hold."""
    return kind in _NETWORK_FILE_SYSTEMS


def fixed_part(template: str) -> str:
    """The longest folder of a path template that holds for every user."""
    return template.partition("{")[0].rpartition("/")[0] or "/"


def _mountinfo() -> str:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _listen(config: Config, error: Say, warn: Say) -> None:
    services: dict[str, tuple[Listener, ...]] = {
        name: getattr(config.listen, name) for name in (*_SERVICES, "lmtp", "sasl", "metrics")
    }
    if not any(services[name] for name in _SERVICES):
        error(("listen",), "nothing to serve: imap, imaps, pop3 and pop3s are all off")
    seen: dict[str, str] = {}
    for name, listeners in services.items():
        for number, listener in enumerate(listeners):
            where = str(listener)
            if listener.path or listener.port:
                if where in seen:
                    error(("listen", name, number), f"{where} is already used by {seen[where]}")
                seen.setdefault(where, name)
            if listener.path and listener.proxy:
                error(("listen", name, number), "the PROXY protocol is taken on TCP only")
            if listener.proxy and name == "metrics":
                error(("listen", name, number), "metrics does not take the PROXY protocol")
    for name in ("lmtp", "sasl"):
        if services[name]:
            warn(("listen", name), f"{name} is to come in a later version; nothing is listening there yet")


def _tls(config: Config, error: Say, warn: Say) -> None:
    tls = config.tls
    if bool(tls.certificate) != bool(tls.key):
        error(("tls",), f"{'certificate' if tls.key else 'key'} is missing")
    if tls.sni and not tls.certificate:
        error(("tls", "sni"), "more certificates need [tls] certificate and key for clients that name no host")
    if not tls.certificate:
        for name in ("imaps", "pop3s"):
            if getattr(config.listen, name):
                error(("listen", name), "needs [tls] certificate and key")
        if config.auth.cleartext == "tls" and (config.listen.imap or config.listen.pop3):
            warn(("auth", "cleartext"), 'without [tls] and with cleartext = "tls" no password can be sent')
    files: list[tuple[Path, str]] = [(("tls", "certificate"), tls.certificate), (("tls", "key"), tls.key)]
    for number, extra in enumerate(tls.sni):
        files += [
            (("tls", "sni", number, "certificate"), extra.certificate),
            (("tls", "sni", number, "key"), extra.key),
        ]
    for place, path in files:
        if path and _missing(path):
            error(place, f"{path} does not exist")


def _missing(path: str) -> bool:
    """Certain that it is not there; a folder that may not be looked into decides nothing."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _auth(config: Config, error: Say, warn: Say) -> None:
    if not config.auth.backend:
        error(("auth",), "nobody can log in: there is no [[auth.backend]]")
    for number, backend in enumerate(config.auth.backend):
        if _missing(backend.path):
            warn(("auth", "backend", number, "path"), f"{backend.path} does not exist yet: nobody can log in by it")
    if config.auth.cleartext == "always":
        for name in ("imap", "pop3"):
            for number, listener in enumerate(getattr(config.listen, name)):
                if listener.host and not listener.host.startswith("127.") and listener.host != "::1":
                    warn(
                        ("listen", name, number),
                        f'passwords cross the network unencrypted on {listener} (auth.cleartext = "always")',
                    )


def _mail(config: Config, error: Say, warn: Say) -> None:
    mail = config.mail
    used = fields_of(mail.store) - {"home"} | (fields_of(mail.home) if "{home" in mail.store else set())
    if not used & {"user", "local"}:
        warn(
            ("mail", "home"),
            "has neither {user} nor {local}: users for whom the password backend names no home share one mailbox",
        )
    used = fields_of(config.index.path) - {"home"} | (fields_of(mail.home) if "{home" in config.index.path else set())
    if not ("user" in used or {"local", "domain"} <= used or "{home" in config.index.path):
        error(("index", "path"), "must have {user}, or {local} and {domain}: each account needs an index of its own")
    if mail.prefix and not mail.prefix.endswith(mail.separator):
        error(("mail", "prefix"), f"must end with the separator {mail.separator!r}")
    path = config.index.path.replace("{home}", mail.home)
    kind = file_system(os.path.realpath(fixed_part(path)), _mountinfo())
    if is_network(kind):
        error(("index", "path"), f"lies on a network file system ({kind}); the index needs a local disk")


def _mailboxes(config: Config, error: Say, warn: Say) -> None:
    separator = config.mail.separator
    seen = set()
    for number, mailbox in enumerate(config.mailbox):
        parts = mailbox.name.split(separator)
        place = ("mailbox", number, "name")
        if not all(parts) or any(part in (".", "..") for part in parts):
            error(place, "has an empty part, or one that is . or ..")
        elif parts[0].upper() == "INBOX" and len(parts) == 1:
            error(place, "INBOX is always there")
        elif separator != "." and "." in mailbox.name and config.mail.layout == "maildir++":
            error(place, 'layout "maildir++" cannot hold a name with a dot')
        elif separator != "/" and "/" in mailbox.name:
            error(place, "a name with a slash cannot be stored")
        elif mailbox.name in seen:
            error(place, f"{mailbox.name!r} is named twice")
        seen.add(mailbox.name)


def _server(config: Config, error: Say, warn: Say) -> None:
    for place, name in ((("server", "user"), config.server.user), (("auth", "user"), config.auth.user)):
        if not name:
            continue
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            if os.getuid() == 0:
                error(place, f"there is no user {name!r} on this machine")
            continue
        if entry.pw_uid == 0:
            error(place, "must not be root")
    if os.getuid() == 0:
        if not config.server.user:
            warn(
                ("server", "user"),
                "not set, and started as root: the workers, which parse what strangers send, stay root",
            )
        if not config.auth.user:
            warn(("auth", "user"), "not set, and started as root: the auth process stays root")
    elif config.server.user and config.server.user != pwd_name():
        warn(("server", "user"), "only root can change to another user; the server stays what it was started as")


def pwd_name() -> str:
    """The name of the user that this process runs as."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def check(config: Config, error: Say, warn: Say) -> None:
    """All checks; `error` and `warn` take the path of the setting and what is to be said."""
    for part in (_listen, _tls, _auth, _mail, _mailboxes, _server):
        part(config, error, warn)
