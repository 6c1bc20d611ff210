"""imaplib and poplib."""

import imaplib
import poplib
import ssl

from tests.serving import PASSWORD, Served

from .conftest import messages


def context(server: Served) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.cert))


def crlf(message: bytes) -> bytes:
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def test_imaplib_reads_every_message(server: Served) -> None:
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.login("alice", PASSWORD)
        assert client.select("INBOX", readonly=True)[0] == "OK"
        found = []
        for number in client.search(None, "ALL")[1][0].split():
            found.append(client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1])
        assert sorted(found) == sorted(crlf(message) for message in messages())


def test_imaplib_starttls_files_flags_and_deletes(server: Served) -> None:
    with imaplib.IMAP4("localhost", server.imap) as client:
        client.starttls(context(server))
        client.login("bob", PASSWORD)
        assert client.create("Work")[0] == "OK"
        status, data = client.append("Work", "(\\Flagged)", None, crlf(messages()[0]))
        assert status == "OK"
        assert b"APPENDUID" in data[0]
        client.select("Work")
        answer = client.store("1", "+FLAGS", "(\\Seen Important)")[1][0]
        assert set(answer.strip(b"1 ()FLAGS ").split()) >= {b"\\Flagged", b"\\Seen", b"Important"}
        assert client.copy("1", "INBOX")[0] == "OK"
        client.store("1", "+FLAGS", "(\\Deleted)")
        assert client.expunge()[1] == [b"1"]
        assert client.select("INBOX")[1] == [b"1"]
        assert client.search(None, "KEYWORD", "Important")[1] == [b"1"]
    names = list((server.maildir("bob") / "cur").iterdir())
    assert len(names) == 1
    assert names[0].name.partition(":2,")[2] == "FSa"


def test_imaplib_over_implicit_tls(server: Served) -> None:
    with imaplib.IMAP4_SSL("localhost", server.imaps, ssl_context=context(server)) as client:
        client.login("alice", PASSWORD)
        assert client.select("INBOX", readonly=True)[1] == [str(len(messages())).encode()]


def test_poplib_reads_and_deletes(server: Served) -> None:
    with imaplib.IMAP4("127.0.0.1", server.imap) as client:
        client.login("carol", PASSWORD)
        for message in messages()[:3]:
            client.append("INBOX", "", None, crlf(message))
    pop = poplib.POP3("localhost", server.pop3)
    pop.stls(context(server))
    pop.user("carol")
    pop.pass_(PASSWORD)
    assert pop.stat()[0] == 3
    uidls = [line.split()[1] for line in pop.uidl()[1]]
    assert len(set(uidls)) == 3
    assert b"\r\n".join(pop.retr(1)[1]) + b"\r\n" == crlf(messages()[0])
    assert pop.top(1, 1)[1][-1] == b"Hello Alice,"
    pop.dele(2)
    pop.quit()
    pop = poplib.POP3_SSL("localhost", server.pop3s, context=context(server))
    pop.user("carol")
    pop.pass_(PASSWORD)
    assert [line.split()[1] for line in pop.uidl()[1]] == [uidls[0], uidls[2]]
    pop.dele(1)
    pop.close()  # no QUIT: nothing is deleted
    pop = poplib.POP3("localhost", server.pop3)
    pop.user("carol")
    pop.pass_(PASSWORD)
    assert pop.stat()[0] == 2
    pop.quit()
