"""SASL mechanisms by their RFCs' own examples, and by what a hostile client sends instead."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from culverhouse.auth import scram_keys
from culverhouse.auth.mechanisms import Ask, CheckPassword, FindKeys, Granted, Refused, scram, start
from culverhouse.auth.saslprep import saslprep
from culverhouse.auth.scram_keys import ScramKeys
from culverhouse.auth.wire import Reason

ALL = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")


def keys_of(password: bytes, salt: bytes = b"0123456789abcdef") -> ScramKeys:
    return scram_keys.derive("sha256", password, salt, 4096)


def drive(steps: Any, responses: list[bytes], password: bytes = b"pencil", keys: ScramKeys | None = None) -> Any:
    """Answers needs until the exchange is through; returns (challenges, needs, Granted)."""
    challenges, needs, answer = [], [], None
    waiting = list(responses)
    while True:
        try:
            need = steps.send(answer)
        except StopIteration as stop:
            assert not waiting
            return challenges, needs, stop.value
        if isinstance(need, Ask):
            challenges.append(need.challenge)
            answer = waiting.pop(0)
        else:
            needs.append(need)
            right = isinstance(need, CheckPassword) and need.password.reveal() == password
            answer = right if isinstance(need, CheckPassword) else keys or keys_of(password)


def refused(steps: Any, responses: list[bytes], **more: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        drive(steps, responses, **more)
    return caught.value.reason


def test_plain() -> None:
    _, needs, granted = drive(start("plain", b"\0tim\0pencil", {}, ALL), [])
    assert granted == Granted("tim", "")
    assert "pencil" not in repr(needs)
    assert drive(start("PLAIN", b"Ursel\0Kurt\0pencil", {}, ALL), [])[2] == Granted("Kurt", "Ursel")
    challenges, _, granted = drive(start("PLAIN", None, {}, ALL), [b"\0tim\0pencil"])
    assert challenges == [b""]
    assert granted.user == "tim"
    assert refused(start("PLAIN", b"\0tim\0pen", {}, ALL), []) is Reason.CREDENTIALS


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"tim",
        b"\0tim",
        b"\0tim\0",
        b"\0\0pencil",
        b"a\0b\0c\0d",
        b"\0\xff\0pencil",
        b"\0" + b"x" * 600 + b"\0p",
        b"\0" + b"x" * 9000 + b"\0p",
    ],
)
def test_plain_malformed(message: bytes) -> None:
    assert refused(start("PLAIN", message, {}, ALL), []) is Reason.MALFORMED


def test_login() -> None:
    challenges, _, granted = drive(start("LOGIN", None, {}, ALL), [b"tim", b"pencil"])
    assert challenges == [b"Username:", b"Password:"]
    assert granted == Granted("tim", "")
    challenges, _, granted = drive(start("LOGIN", b"tim", {}, ALL), [b"pencil"])
    assert challenges == [b"Password:"]
    assert drive(start("LOGIN", b"", {}, ALL), [b"tim", b"pencil"])[2].user == "tim"
    assert refused(start("LOGIN", b"tim", {}, ALL), [b"no"]) is Reason.CREDENTIALS
    assert refused(start("LOGIN", b"tim", {}, ALL), [b""]) is Reason.MALFORMED
    assert refused(start("LOGIN", b"\xff", {}, ALL), []) is Reason.MALFORMED
    assert refused(start("LOGIN", b"tim", {}, ALL), [b"x" * 9000]) is Reason.MALFORMED


def test_rfc_7677_example() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    steps = scram(
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        plus=False,
        offered_plus=False,
        bindings={},
        nonce=lambda: b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    )
    challenges, needs, granted = drive(
        steps,
        [b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="],
        keys=keys_of(b"pencil", salt),
    )
    assert challenges == [b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"]
    assert needs == [FindKeys("user")]
    assert granted == Granted("user", "", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


def test_rfc_5802_keys() -> None:
    """The SHA-1 example's proof is checked with the keys that derive() makes."""
    keys = scram_keys.derive("sha1", b"pencil", base64.b64decode("QSXCR+Q6sek8bf92"), 4096)
    message = (
        b"n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
    )
    signature = hmac.digest(keys.stored_key, message, "sha1")
    proof = base64.b64decode("v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha1(client_key).digest() == keys.stored_key
    assert base64.b64encode(hmac.digest(keys.server_key, message, "sha1")) == b"rmF9pqV8S7suAoZWja4dJRkFsKQ="
    assert scram_keys.parse("sha1", keys.text()) == keys


class Client:
    """The other side, written from RFC 5802 3, for exchanges that the RFCs do not show."""

    def __init__(
        self, gs2: bytes = b"n,,", user: bytes = b"user", password: bytes = b"pencil", data: bytes = b""
    ) -> None:
        self.gs2, self.password, self.data = gs2, password, data
        self.bare = b"n=%s,r=clientnonce" % user
        self.first = gs2 + self.bare

    def final(self, server_first: bytes) -> bytes:
        fields = dict(part.split(b"=", 1) for part in server_first.split(b","))
        keys = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        client_key = hmac.digest(keys, b"Client Key", "sha256")
        bound = base64.b64encode(self.gs2 + self.data)
        plain = b"c=%s,r=%s" % (bound, fields[b"r"])
        signature = hmac.digest(
            hashlib.sha256(client_key).digest(), b",".join((self.bare, server_first, plain)), "sha256"
        )
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return plain + b",p=" + base64.b64encode(proof)


def talk(
    client: Client, name: str = "SCRAM-SHA-256", bindings: dict[str, bytes] | None = None, change: Any = None
) -> Granted:
    steps = start(name, client.first, bindings or {}, ALL)
    need = next(steps)
    assert isinstance(need, FindKeys)
    ask = steps.send(keys_of(b"pencil"))
    assert isinstance(ask, Ask)
    final = client.final(ask.challenge)
    try:
        steps.send(change(final) if change else final)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("the exchange should be over")


def reason(*arguments: Any, **more: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        talk(*arguments, **more)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["tls-exporter", "tls-server-end-point", "tls-unique"])
def test_channel_binding(kind: str) -> None:
    bindings = {"tls-exporter": b"E" * 32, "tls-server-end-point": b"P" * 32, "tls-unique": b"U" * 12}
    gs2 = b"p=%s,," % kind.encode()
    assert talk(Client(gs2, data=bindings[kind]), "SCRAM-SHA-256-PLUS", bindings).user == "user"
    assert reason(Client(gs2, data=b"other channel"), "SCRAM-SHA-256-PLUS", bindings) is Reason.CREDENTIALS
    assert reason(Client(gs2, data=b""), "SCRAM-SHA-256-PLUS", bindings) is Reason.CREDENTIALS


def test_channel_binding_and_mechanism_go_together() -> None:
    bindings = {"tls-exporter": b"E" * 32}
    assert reason(Client(b"p=tls-exporter,,"), "SCRAM-SHA-256", bindings) is Reason.MALFORMED
    assert reason(Client(b"n,,"), "SCRAM-SHA-256-PLUS", bindings) is Reason.MALFORMED
    assert reason(Client(b"p=tls-unique,,"), "SCRAM-SHA-256-PLUS", bindings) is Reason.UNSUPPORTED
    assert reason(Client(b"p=tls-exporter,,"), "SCRAM-SHA-256-PLUS", {}) is Reason.UNSUPPORTED


def test_downgrade_is_noticed() -> None:
    """`y`: the client can bind but was not offered it. With TLS we did offer it (RFC 5802 6)."""
    assert reason(Client(b"y,,"), "SCRAM-SHA-256", {"tls-exporter": b"E"}) is Reason.MALFORMED
    assert talk(Client(b"y,,"), "SCRAM-SHA-256", {}).user == "user"
    assert talk(Client(b"n,,"), "SCRAM-SHA-256", {"tls-exporter": b"E"}).user == "user"
    steps = start("SCRAM-SHA-256", Client(b"y,,").first, {"tls-exporter": b"E"}, ("SCRAM-SHA-256",))
    assert isinstance(next(steps), FindKeys)


def test_the_gs2_header_is_covered_by_the_proof() -> None:
    client = Client(b"y,,")
    client.gs2 = b"n,,"
    assert reason(client) is Reason.CREDENTIALS


def test_names_and_authorization() -> None:
    granted = talk(Client(b"n,a=other=3D=2Cx,", user=b"a=2Cb=3Dc"))
    assert (granted.user, granted.authorize) == ("a,b=c", "other=,x")
    assert talk(Client(user="Ⅸ\u00adx".encode())).user == "IXx"


def test_a_wrong_password_and_a_changed_message() -> None:
    assert reason(Client(password=b"pen")) is Reason.CREDENTIALS
    assert reason(Client(), change=lambda final: final.replace(b"nonce", b"noncf")) is Reason.CREDENTIALS
    assert reason(Client(), change=lambda final: final.replace(b"c=biws", b"c=eSws")) is Reason.CREDENTIALS


@pytest.mark.parametrize(
    "change",
    [
        lambda final: b"",
        lambda final: b"*",
        lambda final: final.partition(b",p=")[0],
        lambda final: final + b"x\0",
        lambda final: final.replace(b",p=", b",p=!"),
        lambda final: final.replace(b",p=", b",p=AA"),
        lambda final: final.partition(b",p=")[0] + b",p=AAAA",
        lambda final: b"x" * 9000,
        lambda final: final.replace(b"c=biws", b"c=b"),
    ],
)
def test_malformed_final_messages(change: Any) -> None:
    assert reason(Client(), change=change) is Reason.MALFORMED


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,",
        b"x,,n=u,r=n",
        b"n,,n=u",
        b"n,,r=n",
        b"n,,n=,r=n",
        b"n,,n=u,r=",
        b"n,,n=u,r=a b",
        b"n,,m=x,n=u,r=n",
        b"n,,n=u=20,r=n",
        b"n,,n=u=,r=n",
        b"n,,n=\xff,r=n",
        b"n,,n=\xe2\x80\x8b,r=n",
        b"n,,n=a\x07,r=n",
        b"p=,,n=u,r=n",
        b"n,a=,n=u,r=n",
        b"n,,n=" + b"u" * 600 + b",r=n",
        b"n,,n=u,r=" + b"n" * 600,
        b"n,,n=u,r=n,x=" + b"y" * 9000,
    ],
)
def test_malformed_first_messages(first: bytes) -> None:
    assert refused(start("SCRAM-SHA-256", first, {}, ALL), []) is Reason.MALFORMED


def test_extensions_are_ignored_and_an_initial_response_can_be_asked_for() -> None:
    steps = start("SCRAM-SHA-256", None, {}, ALL)
    assert next(steps) == Ask(b"")
    assert isinstance(steps.send(b"n,,n=user,r=abc,x=y"), FindKeys)


def test_only_what_is_offered() -> None:
    for name in ("SCRAM-SHA-256", "CRAM-MD5", "EXTERNAL", "", "PLAIN "):
        with pytest.raises(Refused) as caught:
            start(name, None, {}, ("PLAIN", "LOGIN"))
        assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_saslprep_examples(text: str, prepared: str) -> None:
    """RFC 4013 3."""
    assert saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\u0007", "\u0627\u0031", "a\u0627", "\ud800", "\ue000", "\u200e", "a\x7fé"])
def test_saslprep_prohibits(text: str) -> None:
    with pytest.raises(ValueError, match=r"character|text"):
        saslprep(text)
