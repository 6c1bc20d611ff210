"""Who may come in: password backends, SASL mechanisms, penalties. Runs in the auth process; knows no socket."""
