"""Certificates and keys as the supervisor reads them: as root, and looked into only by a process of its own.

The supervisor opens the files and hands their bytes on; OpenSSL, which is large and parses them, has no business in
it. The same holds for `culverhouse check-config`.
"""

import json
import pickle
import socket
import subprocess

from ..config import Config
from .pem import Pem
from .process import command, environment
from .runtime import Unusable

CHECK_SECONDS = 30.0


def read_pems(config: Config) -> tuple[tuple[Pem, ...], list[str]]:
    """All certificates with their keys, and which of them end soon. Raises Unusable with everything that is wrong."""
    tls = config.tls
    if not tls.certificate:
        return (), []
    wanted = [(tls.certificate, tls.key, ()), *((one.certificate, one.key, one.names) for one in tls.sni)]
    pems = []
    unread = []
    for certificate, key, names in wanted:
        try:
            with open(certificate, "rb") as first, open(key, "rb") as second:
                pems.append(Pem(certificate, first.read(1 << 20), second.read(1 << 20), names))
        except OSError as error:
            unread.append(f"{error.filename}: {error.strerror}")
    wrong, expiring = _check(pems, tls.minimum, tls.ciphers)
    if unread or wrong:
        raise Unusable("; ".join(unread + wrong))
    return tuple(pems), expiring


def _check(pems: list[Pem], minimum: str, ciphers: str) -> tuple[list[str], list[str]]:
    """What is wrong with these, and which end soon."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                command("check", theirs.fileno()), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, env=environment(),
            )
        ours.settimeout(CHECK_SECONDS)
        answer = b""
        try:
            ours.sendall(pickle.dumps((pems, minimum, ciphers)))
            ours.shutdown(socket.SHUT_WR)
            while data := ours.recv(65_536):
                answer += data
        except OSError:
            answer = b""
        finally:
            process.kill()
            process.wait()
    try:
        wrong, expiring = json.loads(answer)
    except ValueError:
        return ["the certificates could not be checked"], []
    return [str(text) for text in wrong], [str(text) for text in expiring]


def main(descriptor: int) -> None:
    """The process that looks (child.py)."""
    from .tls import check, expiring

    with socket.socket(fileno=descriptor) as link:
        asked = b""
        while data := link.recv(65_536):
            asked += data
        pems, minimum, ciphers = pickle.loads(asked)  # noqa: S301 - it is our parent
        wrong = check(pems, minimum, ciphers)
        link.sendall(json.dumps((wrong, [] if wrong else expiring(pems))).encode())
