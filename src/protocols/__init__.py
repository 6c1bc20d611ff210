"""Bytes in, bytes out: one engine per protocol, no sockets, no clocks, no logs."""
