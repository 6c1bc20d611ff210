"""Stored passwords: every spelling that Dovecot's files hold, by vectors that Dovecot made."""

import hashlib
from pathlib import Path

import pytest

from culverhouse.auth import passwords
from culverhouse.auth.cram_md5 import contexts
from culverhouse.auth.passwords import BadHash, DeriveJob, VerifyJob, hash_new, needs_cpu, verify

VECTORS = [
    line.split("\t")
    for line in (Path(__file__).parent / "dovecot-passwords.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
COMMON = "pässwörd".encode()


IDS = [f"{stored.partition('}')[0]}-{len(password)}" for password, stored in VECTORS]


@pytest.mark.parametrize(("password", "stored"), VECTORS, ids=IDS)
def test_what_dovecot_made_is_verified(password: str, stored: str) -> None:
    assert verify(stored, password.encode(), user="alice@example.org")
    assert not verify(stored, password.encode()[1:], user="alice@example.org")
    assert not verify(stored, b"", user="alice@example.org")


@pytest.mark.parametrize(
    "stored",
    [
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$UAi3w.V1khOnmiQzfq00d7LaG6KfSe9MVbNef5kSs64",
        "_J9..rasmTIP7P2rlEnk",
        "$sha1$1000$saltsalt$nDhHYUnKQnlrhhzb277KuUodCFdF",
        "$md5,rounds=200$saltsalt$$Bgv0wdjjcTxPoPqz0lPYG.",
        "{crypt}$1$F1.Psgyp$FBEhKpRBLUz1GhXJMd3A7/",
    ],
)
def test_what_crypt_made_is_told_by_its_prefix(stored: str) -> None:
    """From glibc's and libxcrypt's crypt(3), as in /etc/shadow."""
    assert verify(stored, COMMON)
    assert not verify(stored, b"other")


def test_ntlm_and_ldaps_md5() -> None:
    assert verify("{NTLM}8846f7eaee8fb117ad06bdd830b7586c", b"password")
    assert not verify("{NTLM}8846f7eaee8fb117ad06bdd830b7586c", b"\xff\xfe")
    assert verify("{MD5}X03MO1qnZdYdgyfeuILPmQ==", b"password")


@pytest.mark.parametrize("scheme", passwords.NEW_SCHEMES)
def test_new_passwords_are_verified_by_us(scheme: str) -> None:
    stored = hash_new(COMMON, scheme)
    assert stored.startswith(f"{{{scheme}}}")
    assert verify(stored, COMMON)
    assert not verify(stored, b"passwort")
    assert scheme == "PLAIN" or hash_new(COMMON, scheme) != stored


def test_the_default_is_argon2id() -> None:
    assert hash_new(b"x").startswith("{ARGON2ID}$argon2id$v=19$")


@pytest.mark.parametrize("password", [b"", b"a\0b", b"x" * 1025])
def test_passwords_that_cannot_be(password: bytes) -> None:
    assert not verify("{PLAIN}" + password.decode(), password)
    with pytest.raises(ValueError, match="octets"):
        hash_new(password)


def test_plain_never_breaks_the_line() -> None:
    for password in (b"a:b", b"a\nb"):
        with pytest.raises(ValueError, match="PLAIN takes"):
            hash_new(password, "PLAIN")
    with pytest.raises(ValueError, match="new passwords are made as"):
        hash_new(b"x", "MD5")


def test_bcrypt_uses_72_octets_as_crypt_does() -> None:
    stored = hash_new(b"x" * 80, "BLF-CRYPT")
    assert verify(stored, b"x" * 72)
    assert not verify(stored, b"x" * 71)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        "*",
        "!$1$F1.Psgyp$FBEhKpRBLUz1GhXJMd3A7/",
        "{PLAIN}",
        "{NOSUCH}abc",
        "{OTP}sha1 1024 cc04 5484",
        "{SHA256}zzz",
        "{SSHA}YWJj",
        "{SHA256.hex}abc",
        "{PBKDF2}$1$salt$0$00",
        "{PBKDF2}$2$salt$5$00",
        "{PBKDF2}$1$salt$5$zz",
        "{SCRAM-SHA-256}4096,a,b",
        "{SCRAM-SHA-256}0,YWI=,YWI=,YWI=",
        "{SCRAM-SHA-256}99999999,YWI=,YWI=,YWI=",
        "{SHA512-CRYPT}$6$x",
        "{BLF-CRYPT}$2y$05$short",
        "{ARGON2ID}$argon2id$",
        "$9$whatever$",
        "{CRAM-MD5}00",
        "plain text",
    ],
)
def test_damaged_and_unknown_hashes_match_nothing(stored: str) -> None:
    for password in (b"x", stored.encode() or b"y"):
        with pytest.raises(BadHash) as caught:
            verify(stored, password)
        assert len(stored) < 4 or stored not in str(caught.value)


def test_the_scheme_is_not_guessed_from_the_look_of_the_data() -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    with pytest.raises(BadHash):
        verify(digest, b"x")
    assert verify(digest, b"x", default="SHA256")
    assert verify("secret", b"secret", default="PLAIN")


def test_an_hmac_md5_context_continues_to_the_right_hmac() -> None:
    outer_and_inner = contexts(b"k" * 70)
    assert contexts(hashlib.md5(b"k" * 70, usedforsecurity=False).digest()) == outer_and_inner
    assert len(outer_and_inner) == 32


def test_what_computes_is_known() -> None:
    assert needs_cpu("{ARGON2ID}x")
    assert needs_cpu("$6$x")
    assert needs_cpu("{SCRAM-SHA-256}x")
    assert not needs_cpu("{PLAIN}x")
    assert not needs_cpu("{SSHA512.hex}x")
    assert not needs_cpu("x", "PLAIN")


def test_jobs_show_no_secret_and_cross_processes() -> None:
    import pickle

    job = VerifyJob("{PLAIN}secret", b"secret", "CRYPT", "alice")
    assert "secret" not in repr(job)
    assert pickle.loads(pickle.dumps(job)).run() is True
    assert VerifyJob("{NOSUCH}x", b"x", "CRYPT", "").run() == "the scheme NOSUCH is not known"
    derive = DeriveJob(b"pencil", b"salt", 4096)
    assert "pencil" not in repr(derive)
    assert pickle.loads(pickle.dumps(derive)).run() == derive.run()
