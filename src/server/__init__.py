"""All of Twisted and pyOpenSSL: the supervisor, the workers, the auth process, the helpers, listeners, TLS, limits.

Nothing here knows what a message or a mailbox is; it carries bytes to engines and calls to threads and helpers.
"""
