"""What a logged-in user has: mailboxes, session views, search, and the only place where a store meets the index."""
