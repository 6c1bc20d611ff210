"""Culverhouse, a mailbox access server: IMAP4 and POP3 over Maildir."""

__version__ = "0.1.0"
