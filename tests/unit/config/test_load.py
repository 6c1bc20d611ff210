"""The configuration file: what is read, and that every error is told at once with its line and a hint."""

import ipaddress
from pathlib import Path

import pytest

from culverhouse.config import Config, ConfigErrors, load
from culverhouse.config.checks import file_system, fixed_part, is_network
from culverhouse.config.positions import Positions

SMALLEST = """\
[listen]
imap = ["127.0.0.1:1143"]
[auth]
[[auth.backend]]
kind = "passwd-file"
path = "/etc/culverhouse/users"
[mail]
home = "/var/mail/{domain}/{local}"
"""


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "culverhouse.toml"
    path.write_text(text, encoding="utf-8")
    return load(str(path))


def errors(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, text)
    prefix = f"{tmp_path / 'culverhouse.toml'}"
    assert all(error.file == prefix for error in caught.value.errors)
    return [str(error).removeprefix(f"{prefix}:").lstrip() for error in caught.value.errors]


def test_the_smallest_file_gives_documented_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, SMALLEST)
    assert config.mail.store == "maildir:{home}/Maildir"
    assert (config.mail.layout, config.mail.separator, config.mail.prefix) == ("maildir++", "/", "")
    assert config.mail.max_message_size == 50_000_000
    assert config.auth.cleartext == "tls"
    assert config.auth.username_format == "{user:lower}"
    assert [(box.name, box.special_use) for box in config.mailbox] == [
        ("Drafts", "\\Drafts"),
        ("Sent", "\\Sent"),
        ("Junk", "\\Junk"),
        ("Trash", "\\Trash"),
    ]
    assert config.limits.sessions_per_user_and_address == 50
    assert config.timeouts.imap >= 1800
    assert config.timeouts.pop3 >= 600
    assert config.server.runtime_dir == "/run/culverhouse"
    assert config.tls.minimum == "1.2"


def test_listeners(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        SMALLEST.replace(
            '"127.0.0.1:1143"',
            '"[::1]:143", "unix:/run/imap", { address = "0.0.0.0:143", proxy = ["10.0.0.0/8", "::1"] }, "localhost:0"',
        ),
    )
    six, unix, proxied, local = config.listen.imap
    assert (six.host, six.port, str(six)) == ("::1", 143, "[::1]:143")
    assert (unix.path, str(unix)) == ("/run/imap", "unix:/run/imap")
    assert proxied.proxy == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))
    assert (local.host, local.port) == ("127.0.0.1", 0)


def test_every_error_at_once_with_line_and_nearest_key(tmp_path: Path) -> None:
    found = errors(
        tmp_path,
        """\
[listen]
imap = ["127.0.0.1:1143", "example.org:12",
        { address = "[::1]:143", proxy = ["10.0.0.0/8", "x"] }]
imapss = []
[mial]
x = 1
[auth]
cleartxt = "tls"
[[auth.backend]]
kind = "passwd-file"
path = "/etc/users"
[[auth.backend]]
kind = "passwd-fil"
[[auth.backend]]
kind = "passwd-file"
[mail]
home = "/x/{user}/../"
store = "mbox:{home}/mail"
max_message_size = "50 XB"
layout = "maildir"
separator = 3
[timeouts]
imap = "29 min"
[server]
workers = true
""",
    )
    assert found == [
        "2: listen.imap[1]: expected an IP address before the port, found 'example.org'",
        '3: listen.imap[2].proxy[1]: expected a network like "10.0.0.0/8" or "::1", found \'x\'',
        "4: listen.imapss: unknown key; did you mean imaps?",
        "5: mial: unknown key; did you mean mail?",
        "8: auth.cleartxt: unknown key; did you mean cleartext?",
        "12: auth.backend[1]: kind 'passwd-fil' is not known; did you mean passwd-file?",
        "14: auth.backend[2].path: is missing",
        "17: mail.home: a path must not have .. in it",
        "18: mail.store: mbox stores are not served yet; only maildir:PATH is",
        "19: mail.max_message_size: expected a size like \"50 MB\", found '50 XB'",
        "20: mail.layout: 'maildir' is not known; did you mean maildir++?",
        "21: mail.separator: expected text in quotes, found a number",
        "23: timeouts.imap: expected 1800 to 604800 seconds, found 1740 (RFC 3501 5.4 asks for 30 minutes at least)",
        "25: server.workers: expected a whole number, found true/false",
    ]


def test_syntax_errors_do_not_hide_each_other(tmp_path: Path) -> None:
    found = errors(tmp_path, SMALLEST.replace("[auth]\n", 'imap = []\nbad = = 3\n[auth]\nusr = "x"\n') + "[auth]\n")
    assert [line.partition(": ")[0] for line in found] == ["3", "4", "6", "12"]
    assert found[0] == "3: imap is given twice"
    assert "auth.usr: unknown key; did you mean user?" in found[2]
    assert found[3] == "12: [auth] is given twice"


@pytest.mark.parametrize("text", ['x = """', "[[[", "a = [1,\n2", "= 3", "a" * 100, "x = " + "[" * 5000])
def test_no_toml_at_all(tmp_path: Path, text: str) -> None:
    assert errors(tmp_path, text)


def test_a_file_that_is_not_there_not_text_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors, match="cannot be read: No such file"):
        load(str(tmp_path / "none.toml"))
    (tmp_path / "binary.toml").write_bytes(b"[listen]\n\xff\xfe")
    with pytest.raises(ConfigErrors, match=r"binary\.toml:2: is not valid UTF-8"):
        load(str(tmp_path / "binary.toml"))
    (tmp_path / "large.toml").write_bytes(b"#" * 4_000_001)
    with pytest.raises(ConfigErrors, match="is larger than"):
        load(str(tmp_path / "large.toml"))


def test_missing_tables_are_named(tmp_path: Path) -> None:
    assert errors(tmp_path, "") == ["auth: is missing", "listen: is missing", "mail: is missing"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('["127.0.0.1:1143"]', "[]", "nothing to serve"),
        ("[auth]", 'imaps = ["127.0.0.1:1993"]\n[auth]', "needs [tls] certificate and key"),
        ("[auth]", 'pop3 = ["127.0.0.1:1143"]\n[auth]', "127.0.0.1:1143 is already used by imap"),
        ("[mail]", '[tls]\ncertificate = "/nonexistent/c.pem"\n[mail]', "key is missing"),
        ("[mail]", '[tls]\ncertificate = "/nonexistent/c.pem"\nkey = "/nonexistent/k.pem"\n[mail]', "does not exist"),
        ("[mail]", '[index]\npath = "/var/index"\n[mail]', "each account needs an index of its own"),
        ("[mail]", '[index]\npath = "/var/index/{local}"\n[mail]', "each account needs an index of its own"),
        ("[mail]", '[mail]\nprefix = "INBOX"', "must end with the separator"),
        ("[mail]", '[[mailbox]]\nname = "a//b"\n[mail]', "has an empty part"),
        ("[mail]", '[[mailbox]]\nname = "inbox"\n[mail]', "INBOX is always there"),
        ("[mail]", '[[mailbox]]\nname = "a.b"\n[mail]', "cannot hold a name with a dot"),
        ("[mail]", '[[mailbox]]\nname = "A"\n[[mailbox]]\nname = "A"\n[mail]', "'A' is named twice"),
        ("[mail]", '[[mailbox]]\nname = "A"\nspecial_use = "Sent"\n[mail]', "is not known"),
        ("[mail]", "[[mailbox]]\n[mail]", "mailbox[0].name: is missing"),
        ('[[auth.backend]]\nkind = "passwd-file"\npath = "/etc/culverhouse/users"', "", "no [[auth.backend]]"),
        ("{domain}/{local}", "{doman}/{local}", "{doman} is not known"),
        ("{domain}/{local}", "{domain/{local}", "stray brace"),
        ("{domain}/{local}", "{user:title}", "use :lower or :upper"),
        ('"/var/mail/{domain}/{local}"', '"mail/{user}"', "expected an absolute path"),
        ("[auth]", '[auth]\nusername_format = "fixed"', "all users would be one"),
        ("[auth]", '[auth]\nmechanisms = ["CRAM-MD5"]', "'CRAM-MD5' is not known"),
        ("[mail]", '[tls]\nminimum = "1.1"\n[mail]', "'1.1' is not known"),
        ("[mail]", '[mail]\nstore = "maildir:{home}/Maildir:LAYOUT=fs"', "options after the path"),
        ("1143", "99999", 'expected "host:port"'),
        ('"127.0.0.1:1143"', '"*:143"', "0.0.0.0:PORT and [::]:PORT"),
    ],
)
def test_contradictions_and_wrong_values(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in SMALLEST
    found = errors(tmp_path, SMALLEST.replace(old, new, 1))
    assert any(expected in line for line in found), found


def test_warnings(tmp_path: Path) -> None:
    config = read(tmp_path, SMALLEST.replace("[auth]", 'lmtp = ["unix:/run/x"]\nsasl = ["unix:/run/y"]\n[auth]'))
    said = "\n".join(map(str, config.warnings))
    assert "culverhouse.toml:3: listen.lmtp: lmtp is to come" in said
    assert "culverhouse.toml:4: listen.sasl: sasl is to come" in said
    assert "no password can be sent" in said


def test_root_without_users_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 0)
    keys = {warning.key for warning in read(tmp_path, SMALLEST).warnings}
    assert {"server.user", "auth.user"} <= keys
    assert any("must not be root" in line for line in errors(tmp_path, SMALLEST + '[server]\nuser = "root"\n'))
    assert any("no user 'nobody-such'" in line for line in errors(tmp_path, SMALLEST + '[server]\nuser="nobody-such"'))


def test_sizes_and_durations(tmp_path: Path) -> None:
    def config(text: str) -> Config:
        return read(tmp_path, SMALLEST + text)

    assert config('max_message_size = "50 MB"').mail.max_message_size == 50_000_000
    assert config('max_message_size = "1.5MiB"').mail.max_message_size == 1_572_864
    assert config("max_message_size = 20000").mail.max_message_size == 20_000
    assert config('max_message_size = "20000 B"').mail.max_message_size == 20_000
    assert config('[timeouts]\nimap = "1 h"').timeouts.imap == 3600
    assert config("[timeouts]\nimap = 1800").timeouts.imap == 1800
    for wrong in ('"5O MB"', '"-1 MB"', '"1_0 MB"', '""', "true", "1.5", '"٣ MB"', '"9999999999999999 TB"'):
        assert errors(tmp_path, f"{SMALLEST}max_message_size = {wrong}\n")


def test_network_file_systems_are_told_apart() -> None:
    mounts = (
        "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        "30 22 0:50 / /srv/mail\\040store rw shared:1 - nfs4 server:/mail rw\n"
        "31 22 0:51 / /srv/mail\\040store/local rw - xfs /dev/sdb rw\n"
        "32 22 0:52 / /over rw - ext4 /dev/sdc rw\n33 22 0:53 / /over rw - fuse.sshfs host: rw\n"
    )
    assert file_system("/srv/mail store/index", mounts) == "nfs4"
    assert file_system("/srv/mail store/local/index", mounts) == "xfs"
    assert file_system("/srv/mail store2", mounts) == "ext4"
    assert file_system("/over", mounts) == "fuse.sshfs"
    assert is_network("nfs4")
    assert is_network("fuse.sshfs")
    assert not is_network("ext4")
    assert fixed_part("/var/lib/index-{user}/x") == "/var/lib"
    assert fixed_part("/{user}") == "/"


def test_an_index_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "culverhouse.config.checks._mountinfo", lambda: "1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / /net rw - nfs a rw"
    )
    found = errors(tmp_path, SMALLEST + '[index]\npath = "/net/index/{user}"\n')
    assert found == ["10: index.path: lies on a network file system (nfs); the index needs a local disk"]


def test_lines_are_found_in_all_forms_of_toml() -> None:
    text = '''# comment
top = """
not = 1
""" # [no]
"quoted.key" = 'x'
[a.b] # c
x.y.z = [ 1, [ "]", 2 ], # inner
  { k = 1, l = [
     3 ] },
]
[[a.list]]
n = 1979-05-27T07:32:00Z
[a.list.sub]
o = {}
[[a.list]]
n = \'\'\'
\'\'\'
p = """a\\"""" # "
q = -inf
'''
    positions = Positions(text)
    assert positions.line(("top",)) == 2
    assert positions.line(("quoted.key",)) == 5
    assert positions.line(("a", "b")) == 6
    assert positions.line(("a", "b", "x", "y", "z")) == 7
    assert positions.line(("a", "b", "x", "y", "z", 1, 1)) == 7
    assert positions.line(("a", "b", "x", "y", "z", 2, "k")) == 8
    assert positions.line(("a", "b", "x", "y", "z", 2, "l", 0)) == 9
    assert positions.line(("a", "list", 0, "n")) == 12
    assert positions.line(("a", "list", 0, "sub", "o")) == 14
    assert positions.line(("a", "list", 1)) == 15
    assert positions.line(("a", "list", 1, "n")) == 16
    assert positions.line(("a", "list", 1, "p")) == 18
    assert positions.line(("a", "list", 1, "q")) == 19
    assert positions.line(("a", "list", 1, "missing")) == 15


def test_the_examples_load_where_their_files_exist(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem", "example-net.pem", "example-net-key.pem", "users"):
        (tmp_path / name).touch()
    examples = sorted((Path(__file__).parents[3] / "conf").glob("*.toml"))
    assert examples
    for example in examples:
        text = example.read_text().replace("/etc/culverhouse", str(tmp_path))
        text = "\n".join(line for line in text.splitlines() if not line.startswith("user = "))
        assert read(tmp_path, text).listen.imap
