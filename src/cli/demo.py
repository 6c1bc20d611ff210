"""`culverhouse demo`: a directory with users, a certificate, a configuration and sample mail, served on loopback.

Nothing outside the directory is touched, and nothing in it is ever thrown away: a directory that holds something
else is refused, one that holds a demo is served again with the mail as it is. The configuration is written last, so
that a half-made demo is known by its absence and finished the next time; ports that are taken meanwhile are replaced
by the next free ones.
"""

import contextlib
import datetime
import hashlib
import ipaddress
import os
import re
import socket
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..account.account import Account
from ..account.results import NewMessage
from ..auth.backends.passwd_file import EditRefused, add_user
from ..auth.passwords import hash_new
from ..config import Config, account_spec, load
from ..index.env import Environments
from ..message.utf7 import encode
from ..model.errors import MailError
from .output import OK, Failed, say
from .sample_desk import Sample
from .sample_mail import FOLDERS, samples

USERS = {"alice": "wonderland", "bob": "builder"}
PORTS = {"imap": 1143, "imaps": 1993, "pop3": 1110, "pop3s": 1995, "metrics": 9143}
CONFIG, UNFINISHED = "culverhouse.toml", ".unfinished-demo"
_BATCH = 50
"""Messages in one append."""

TEMPLATE = """\
# Made by `culverhouse demo`; it may be changed. Delete the directory to begin anew.
[listen]
imap = ["127.0.0.1:{imap}"]
imaps = ["127.0.0.1:{imaps}"]
pop3 = ["127.0.0.1:{pop3}"]
pop3s = ["127.0.0.1:{pop3s}"]
metrics = ["127.0.0.1:{metrics}"]

[tls]
certificate = "{folder}/cert.pem"
key = "{folder}/key.pem"

[auth]
cleartext = "tls"

[[auth.backend]]
kind = "passwd-file"
path = "{folder}/users"

[mail]
home = "{folder}/mail/{{user}}"

[index]
path = "{folder}/index/{{user}}"

[server]
workers = 2
runtime_dir = "{runtime}"
"""


def demo(directory: str, serving: bool = True) -> int:
    """Make the demo in `directory`, or take the one that is there; say how to connect; serve it."""
    folder = Path(directory).resolve()
    config = folder / CONFIG
    if not config.exists():
        _make(folder)
    else:
        _certificate(folder)
        _move_ports(config)
    settings = load(str(config))
    Path(settings.server.runtime_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    print(guide(folder, settings), flush=True)
    if not serving:
        return OK
    from ..server.supervisor import serve

    return serve(str(config))


def _make(folder: Path) -> None:
    unfinished = folder / UNFINISHED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not unfinished.exists():
            raise Failed(f"{folder} holds something else: choose another with --dir")
        if re.search(r'["\\{}\x00-\x1f\x7f]', str(folder)):
            raise Failed(f"{folder} has a character in its name that a configuration cannot hold: use another --dir")
        unfinished.touch()
        _certificate(folder)
        for user, password in USERS.items():
            with contextlib.suppress(EditRefused):  # it is there since the last time
                add_user(str(folder / "users"), user, hash_new(password.encode(), "SCRAM-SHA-256"))
        ports = free_ports(PORTS.values())
        text = TEMPLATE.format(folder=folder, runtime=_runtime(folder), **dict(zip(PORTS, ports, strict=True)))
        draft = folder / f"{CONFIG}.new"
        draft.write_text(text, encoding="utf-8")
        settings = load(str(draft))
        for user in USERS:
            deliver(settings, user)
        draft.rename(folder / CONFIG)
        unfinished.unlink()
    except OSError as error:
        raise Failed(f"{error.filename or folder}: {error.strerror}") from None
    except MailError as error:
        raise Failed(f"the sample mail cannot be delivered: {error}") from error


def _runtime(folder: Path) -> Path:
    """Where the sockets lie; a UNIX socket's path has room for about a hundred octets."""
    inside = folder / "run"
    if len(os.fsencode(inside)) <= 70:
        return inside
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"culverhouse-demo-{os.getuid()}-{name}"


def free_ports(wanted: Iterable[int]) -> list[int]:
    """Each port, or the next one above it that nobody listens on."""
    found: list[int] = []
    for port in wanted:
        while port in found or not _is_free(port):
            port += 1
            if port > 65_535:
                raise Failed("there is no free port on 127.0.0.1")
        found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _move_ports(config: Path) -> None:
    """Another program may have taken a port since; the configuration gets the next free one."""
    text = config.read_text(encoding="utf-8")
    listen, rest, after = text.partition("[tls]")
    ports = [int(port) for port in re.findall(r'"127\.0\.0\.1:(\d+)"', listen)]
    for old, new in zip(ports, free_ports(ports), strict=True):
        listen = listen.replace(f'"127.0.0.1:{old}"', f'"127.0.0.1:{new}"', 1)
    changed = listen + rest + after
    if changed != text:
        draft = config.with_suffix(".new")
        draft.write_text(changed, encoding="utf-8")
        draft.rename(config)


def _certificate(folder: Path) -> None:
    """A self-signed certificate for localhost, made when there is none or when it ends within a day."""
    path = folder / "cert.pem"
    now = datetime.datetime.now(datetime.UTC)
    if path.exists() and (folder / "key.pem").exists():
        with contextlib.suppress(ValueError):
            if x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc > now + datetime.timedelta(days=1):
                return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").unlink(missing_ok=True)
    with os.fdopen(os.open(folder / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def deliver(settings: Config, user: str) -> None:
    """The user's sample mail; folders that an earlier, unfinished run has filled are left as they are."""
    say(f"delivering sample mail for {user} …")
    environments = Environments(1)
    account = Account(account_spec(settings, user, None), None, None, environments)
    account.prepare()
    there = {info.name for info in account.mailboxes()}
    by_folder: dict[str, list[Sample]] = {}
    for sample in samples(user):
        by_folder.setdefault(encode(sample.folder), []).append(sample)
    extra = [encode(name) for name in FOLDERS] if user == "alice" else []
    for name in extra:
        if name not in there:
            account.create(name)
            account.subscribe(name, True)
    for name, mails in by_folder.items():
        if account.status(name).messages:
            continue
        for start in range(0, len(mails), _BATCH):
            account.append(name, [_spooled(account, name, sample) for sample in mails[start : start + _BATCH]])
    account.release()
    environments.close()


def _spooled(account: Account, name: str, sample: Sample) -> NewMessage:
    spool = account.spool(name)
    spool.write(sample.data)
    spool.finish()
    return NewMessage(spool, sample.flags, sample.keywords, sample.date)


def guide(folder: Path, settings: Config) -> str:
    """How to connect."""
    listen = settings.listen
    ports = {
        name: getattr(listen, name)[0].port if getattr(listen, name) else None
        for name in ("imap", "imaps", "pop3", "pop3s", "metrics")
    }
    certificate = settings.tls.certificate
    user, password = next(iter(USERS.items()))
    users = "\n".join(f"      {name:8} password {word}" for name, word in USERS.items())
    return textwrap.dedent("""\

        Culverhouse demo in {folder}

          Users
        {users}

          Server 127.0.0.1 (localhost)
              IMAP  port {imap} with STARTTLS, port {imaps} with TLS
              POP3  port {pop3} with STARTTLS, port {pop3s} with TLS
              metrics  http://127.0.0.1:{metrics}/metrics
              certificate  {certificate} (self-signed, made for this demo)

          Thunderbird
              New account, any name, {user}@localhost, password {password}, "configure manually":
              IMAP, localhost, port {imaps}, SSL/TLS, normal password, user name {user}.
              It warns of the certificate: confirm the exception. No outgoing server is needed.

          mutt or neomutt
              neomutt -e 'set ssl_ca_certificates_file="{certificate}"' -f imaps://{user}@localhost:{imaps}/
              mutt -e 'set certificate_file="{certificate}"' -f imaps://{user}@localhost:{imaps}/

          curl
              curl --cacert {certificate} -u {user}:{password} imaps://localhost:{imaps}/
              curl --cacert {certificate} -u {user}:{password} 'imaps://localhost:{imaps}/INBOX;MAILINDEX=1'
              curl --cacert {certificate} -u {user}:{password} --ssl-reqd pop3://localhost:{pop3}/1

        Configuration: {folder}/{config}. The mail stays for the next time. Ctrl-C ends the server.
        """).format(
        folder=folder,
        users=users,
        user=user,
        password=password,
        certificate=certificate,
        config=CONFIG,
        **{name: port if port is not None else "off" for name, port in ports.items()},
    )
