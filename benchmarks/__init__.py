"""Measurements beside Dovecot: the same work on the same mail in the same run."""
