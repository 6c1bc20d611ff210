"""The index: an LMDB environment per account that shadows the mail store.

Everything in here can be deleted at any moment and is rebuilt from the store. No file of the store is opened here,
and no LMDB error leaves this package: readers answer None (not indexed), writers raise `IndexUnavailable`.
"""
