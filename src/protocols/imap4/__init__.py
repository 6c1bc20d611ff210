"""IMAP4rev1 and its extensions as a pure engine: bytes in, steps and bytes out (see ../engine.py)."""
