"""POP3: RFC 1939 with CAPA (2449), STLS (2595), SASL (5034) and AUTH-RESP-CODE (3206)."""

from .engine import Limits, Pop3Engine

__all__ = ["Limits", "Pop3Engine"]
