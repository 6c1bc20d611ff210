"""TLS by pyOpenSSL: which certificate is shown to whom, and the filter between a connection's socket and its engine.

Rules that keep it right:

1. Keys arrive as PEM bytes from the supervisor; this process never opens a certificate or key file.
2. `Certificates` is immutable: a reload builds a new one, connections that are open keep the old.
3. TLS 1.2 and up, no renegotiation, no compression. Bytes that came before the handshake never reach the filter.
4. The filter is ours instead of Twisted's TLS protocol because that one adds a timer to every write, wraps the
   connection in two more layers, and costs several times the memory of an idle session. It talks to OpenSSL through
   memory buffers which are fed in pieces of at most one record, so that they stay small.
"""

import datetime
import hashlib
from collections.abc import Callable, Iterator, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from .pem import Pem

RECORD = 16_384
SOON = datetime.timedelta(days=14)
CIPHERS_TLS12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Forward secrecy and AEAD only; TLS 1.3 has its own, good list."""
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


class BadCertificate(Exception):
    """A certificate or key that cannot be used; the text says which and why and never holds key material."""


class TlsFailed(Exception):
    """The peer broke TLS, or would not agree on it; the text is OpenSSL's reason."""


class Certificate:
    """One context of OpenSSL's, ready to serve, and what channel binding needs to know of its certificate."""

    __slots__ = ("context", "end_point", "names")

    def __init__(self, pem: Pem, minimum: str, ciphers: str) -> None:
        try:
            chain = x509.load_pem_x509_certificates(pem.certificate)
        except ValueError as error:
            raise BadCertificate(f"{pem.name}: not a PEM certificate ({error})") from None
        try:
            key = serialization.load_pem_private_key(pem.key, password=None)
        except (ValueError, TypeError) as error:
            raise BadCertificate(f"{pem.name}: not a PEM private key without a passphrase ({error})") from None
        leaf = chain[0]
        if key.public_key() != leaf.public_key():
            raise BadCertificate(f"{pem.name}: the private key does not belong to the first certificate of the file")
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(_VERSIONS[minimum])
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        # Tickets carry the state of a resumed session; nothing is remembered here.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"culverhouse")
        try:
            context.set_cipher_list(f"{ciphers}:!aNULL:!eNULL".encode())
            context.use_certificate(leaf)
            for issuer in chain[1:]:
                context.add_extra_chain_cert(issuer)
            context.use_privatekey(key)  # type: ignore[arg-type]  # a key of another kind is refused by OpenSSL
            context.check_privatekey()
        except (SSL.Error, TypeError) as error:
            raise BadCertificate(f"{pem.name}: refused by OpenSSL ({_reason(error)})") from None
        context.set_app_data(self)
        self.context = context
        self.names = tuple(name.lower().rstrip(".") for name in pem.names) or _names(leaf)
        self.end_point = _end_point(leaf)


class Certificates:
    """All certificates of the server; the first is shown to a client that names none or an unknown one."""

    __slots__ = ("default", "exact", "wildcard")

    def __init__(self, pems: Sequence[Pem], minimum: str = "1.2", ciphers: str = CIPHERS_TLS12) -> None:
        """Raises BadCertificate for the first that is bad; use `check` to hear of all."""
        made = [Certificate(pem, minimum, ciphers) for pem in pems]
        if not made:
            raise BadCertificate("no certificate is configured")
        self.default = made[0]
        self.exact: dict[str, Certificate] = {}
        self.wildcard: dict[str, Certificate] = {}
        for certificate in made:
            for name in certificate.names:
                if name.startswith("*."):
                    self.wildcard.setdefault(name[2:], certificate)
                else:
                    self.exact.setdefault(name, certificate)
            certificate.context.set_tlsext_servername_callback(self._named)

    def choose(self, name: str) -> Certificate:
        """The certificate for this host name (RFC 6066 3)."""
        name = name.lower().rstrip(".")
        return self.exact.get(name) or self.wildcard.get(name.partition(".")[2]) or self.default

    def connection(self) -> SSL.Connection:
        """A server's side of one connection, over memory buffers."""
        connection = SSL.Connection(self.default.context, None)
        connection.set_accept_state()
        return connection

    def _named(self, connection: SSL.Connection) -> None:
        name = connection.get_servername()
        if name:
            chosen = self.choose(name.decode("ascii", "replace"))
            if chosen is not self.default:
                connection.set_context(chosen.context)


def check(pems: Sequence[Pem], minimum: str = "1.2", ciphers: str = CIPHERS_TLS12) -> list[str]:
    """What is wrong with these, all of it."""
    wrong = []
    for pem in pems:
        try:
            Certificate(pem, minimum, ciphers)
        except BadCertificate as error:
            wrong.append(str(error))
    return wrong


def expiring(pems: Sequence[Pem], within: datetime.timedelta = SOON) -> list[str]:
    """Which of these good certificates are invalid soon or already, and when."""
    limit = datetime.datetime.now(datetime.UTC) + within
    ends = [(pem.name, x509.load_pem_x509_certificate(pem.certificate).not_valid_after_utc) for pem in pems]
    return [f"{name}: valid until {end:%Y-%m-%d %H:%M} UTC" for name, end in ends if end < limit]


class TlsFilter:
    """One connection's TLS: raw bytes in, plain bytes out, and the other way round."""

    __slots__ = ("_connection", "_send", "closed", "ready")

    def __init__(self, certificates: Certificates, send: Callable[[bytes], None]) -> None:
        """`send` takes raw bytes for the socket."""
        self._connection = certificates.connection()
        self._send = send
        self.ready = False
        """The handshake is done."""
        self.closed = False
        """The peer said that it will send no more."""

    def receive(self, raw: bytes) -> Iterator[bytes]:
        """Plain pieces of what came; the handshake goes on by itself. Raises TlsFailed.

        Between two pieces the caller may write and may stop iterating for good."""
        connection = self._connection
        view = memoryview(raw)
        try:
            for start in range(0, len(raw), RECORD):
                connection.bio_write(view[start : start + RECORD])
                if not self.ready:
                    try:
                        connection.do_handshake()
                    except SSL.WantReadError:
                        self._flush()
                        continue
                    self.ready = True
                    self._flush()
                    yield b""
                while not self.closed:
                    try:
                        plain = connection.recv(RECORD)
                    except SSL.WantReadError:
                        break
                    except SSL.ZeroReturnError:
                        self.closed = True
                        break
                    yield plain
            self._flush()
        except SSL.Error as error:
            self._flush()  # the alert
            raise TlsFailed(_reason(error)) from None

    def write(self, data: bytes) -> None:
        """Encrypt and send; only once `ready`. Raises TlsFailed."""
        connection = self._connection
        try:
            if len(data) <= RECORD:
                sent = connection.send(data)
                if sent == len(data):
                    self._flush()
                    return
                data = data[sent:]
            view = memoryview(data)
            while view:
                sent = connection.send(view[:RECORD])
                self._flush()
                view = view[sent:]
        except SSL.Error as error:
            raise TlsFailed(_reason(error)) from None

    def finish(self) -> None:
        """Say that nothing more follows."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return
        self._flush()

    def _flush(self) -> None:
        connection, send = self._connection, self._send
        while True:
            try:
                raw = connection.bio_read(RECORD * 2)
            except SSL.WantReadError:
                return
            send(raw)
            if len(raw) < RECORD * 2:
                return

    @property
    def version(self) -> str:
        """`TLSv1.3`."""
        return self._connection.get_protocol_version_name()

    @property
    def cipher(self) -> str:
        """Its name, empty before the handshake."""
        return self._connection.get_cipher_name() or ""

    def channel_bindings(self) -> dict[str, bytes]:
        """Channel-binding data by type (RFC 5056). An exporter binds a TLS 1.2 connection only with the extended
        master secret (RFC 9266 4.2), which OpenSSL does not let us see here, so it is offered for 1.3 only."""
        bindings = {}
        if self.version == "TLSv1.3":
            bindings["tls-exporter"] = bytes(
                self._connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")  # RFC 9266 4
            )
        certificate = self._connection.get_context().get_app_data()
        if isinstance(certificate, Certificate) and certificate.end_point is not None:
            bindings["tls-server-end-point"] = certificate.end_point
        return bindings


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """Host names of a certificate, lower case, `*.` kept."""
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = alternative.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if not names:
        common = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        names = [str(attribute.value) for attribute in common]
    return tuple(name.lower() for name in names)


def _end_point(leaf: x509.Certificate) -> bytes | None:
    """RFC 5929 4.1; None where the signature names no single hash."""
    try:
        algorithm = leaf.signature_hash_algorithm
    except Exception:  # an algorithm that the library does not know
        return None
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    try:
        return hashlib.new(name, leaf.public_bytes(serialization.Encoding.DER)).digest()
    except ValueError:
        return None


def _reason(error: BaseException) -> str:
    """OpenSSL's last reason, one line."""
    stack = error.args[0] if error.args else ""
    if isinstance(stack, (list, tuple)) and stack:
        return str(stack[-1][-1])
    return str(error) or type(error).__name__
