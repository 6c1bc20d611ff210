"""SCRAM and its wire by random input: an honest client gets in with any name and password, and nothing that a
client sends lets anything but Refused escape or gets in without the password."""

import base64
import contextlib
import hashlib
import hmac

from hypothesis import given, settings
from hypothesis import strategies as st

from culverhouse.auth import scram_keys
from culverhouse.auth.mechanisms import Ask, CheckPassword, FindKeys, Granted, Refused, start
from culverhouse.auth.saslprep import saslprep
from culverhouse.auth.wire import AuthContinue, Frames, WireError, decode, encode
from culverhouse.model.secret import Secret

OFFERED = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
KEYS = scram_keys.derive("sha256", b"pencil", b"saltsaltsalt", 1)


def prepared(text: str) -> bool:
    try:
        return bool(saslprep(text))
    except ValueError:
        return False


names = st.text(min_size=1, max_size=30).filter(prepared)
nonces = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","), min_size=1, max_size=40)


def exchange(user: str, password: bytes, nonce: str, binding: bytes | None, stored: scram_keys.ScramKeys) -> Granted:
    gs2 = b"n,," if binding is None else b"p=tls-exporter,,"
    escaped = user.replace("=", "=3D").replace(",", "=2C")
    bare = f"n={escaped},r={nonce}".encode()
    name = "SCRAM-SHA-256" + ("" if binding is None else "-PLUS")
    steps = start(name, gs2 + bare, {} if binding is None else {"tls-exporter": binding}, OFFERED)
    need = next(steps)
    assert isinstance(need, FindKeys)
    ask = steps.send(stored)
    assert isinstance(ask, Ask)
    fields = dict(part.split(b"=", 1) for part in ask.challenge.split(b","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", scram_keys.prepared(password), base64.b64decode(fields[b"s"]), int(fields[b"i"])
    )
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    plain = b"c=%s,r=%s" % (base64.b64encode(gs2 + (binding or b"")), fields[b"r"])
    message = b",".join((bare, ask.challenge, plain))
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    try:
        steps.send(plain + b",p=" + base64.b64encode(proof))
    except StopIteration as stop:
        granted: Granted = stop.value
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        assert granted.data == b"v=" + base64.b64encode(hmac.digest(server_key, message, "sha256"))
        return granted
    raise AssertionError("the exchange should be over")


@settings(max_examples=60, deadline=None)
@given(
    names, st.binary(min_size=1, max_size=40), nonces, st.none() | st.binary(min_size=1, max_size=32),
    st.binary(min_size=1, max_size=40),
)
def test_an_honest_client_gets_in(user: str, password: bytes, nonce: str, binding: bytes | None, salt: bytes) -> None:
    granted = exchange(user, password, nonce, binding, scram_keys.derive("sha256", password, salt, 3))
    assert granted.user == saslprep(user)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=1, max_size=20), st.binary(min_size=1, max_size=20))
def test_another_password_does_not(right: bytes, wrong: bytes) -> None:
    stored = scram_keys.derive("sha256", right, b"salt", 1)
    with contextlib.suppress(Refused):
        exchange("user", wrong, "abc", None, stored)
        assert scram_keys.prepared(right) == scram_keys.prepared(wrong)


pieces = st.lists(
    st.sampled_from([b"n", b"y", b"p=", b"tls-exporter", b",", b"=", b"a=", b"n=", b"r=", b"c=biws", b"p=", b"m=",
                     b"AAAA", b"=2C", b"\0", b"user", b"x" * 3000, b"\xff"]) | st.binary(max_size=6),
    max_size=12,
).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OFFERED), st.none() | pieces, st.lists(pieces, min_size=4, max_size=4), st.booleans())
def test_only_refused_escapes(name: str, initial: bytes | None, responses: list[bytes], bound: bool) -> None:
    answer: object = None
    try:
        steps = start(name, initial, {"tls-exporter": b"E"} if bound else {}, OFFERED)
        for response in responses:
            need = steps.send(answer)  # type: ignore[arg-type]  # the answer fits what was asked for
            answer = {Ask: response, CheckPassword: False, FindKeys: KEYS}[type(need)]
    except Refused:
        return
    except StopIteration as stop:
        raise AssertionError("got in without the password") from stop


@given(st.binary(max_size=200))
def test_no_octets_are_a_message_by_accident(data: bytes) -> None:
    with contextlib.suppress(WireError):
        decode(data)


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 40)))
def test_any_split_gives_the_same_messages(secrets: list[bytes], cuts: list[int]) -> None:
    messages = [AuthContinue(number, Secret(secret)) for number, secret in enumerate(secrets)]
    stream = b"".join(map(encode, messages))
    frames = Frames()
    found = []
    for cut in [*cuts, len(stream)]:
        found += frames.feed(stream[:cut])
        stream = stream[cut:]
    assert found == messages
