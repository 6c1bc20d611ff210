"""The same mail served by a real Dovecot and by us: what clients see and what lies on disk must agree."""
