"""Facts about one RFC 5322/MIME message, from its bytes: pure functions that never touch a file or a socket."""
