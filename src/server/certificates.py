"""Certificates and keys as the supervisor reads them: as root, and looked into only by a process of its own."""

import json
import os

from ..config import Config
from .pem import Pem
from .runtime import Unusable


def read_pems(config: Config) -> tuple[Pem, ...]:
    """All certificates with their keys. Raises Unusable with everything that is wrong."""
    tls = config.tls
    if not tls.certificate:
        return ()
    wanted = [(tls.certificate, tls.key, ()), *((one.certificate, one.key, one.names) for one in tls.sni)]
    pems = []
    wrong = []
    for certificate, key, names in wanted:
        try:
            with open(certificate, "rb") as first, open(key, "rb") as second:
                pems.append(Pem(certificate, first.read(1 << 20), second.read(1 << 20), names))
        except OSError as error:
            wrong.append(f"{error.filename}: {error.strerror}")
    wrong += check_elsewhere(pems, tls.minimum, tls.ciphers)
    if wrong:
        raise Unusable("; ".join(wrong))
    return tuple(pems)


def check_elsewhere(pems: list[Pem], minimum: str, ciphers: str) -> list[str]:
    """What is wrong with these, found out in a process of its own: OpenSSL has no business in the supervisor."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            from .tls import check

            data = json.dumps(check(pems, minimum, ciphers)).encode()
            while data:
                data = data[os.write(writing, data) :]
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as answer:
        data = answer.read()
    os.waitpid(pid, 0)
    try:
        found = json.loads(data)
    except ValueError:
        return ["the certificates could not be checked"]
    return [str(text) for text in found]
