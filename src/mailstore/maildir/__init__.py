"""Maildir as Dovecot keeps it: its side files are read and written as Dovecot does, under Dovecot's locks."""
