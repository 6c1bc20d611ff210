"""`culverhouse who` and `kick`: the sessions of the running server."""

import datetime
from typing import Any

from ..config import Config, UnsafeName, user_form
from ..server import control
from .output import FAILED, OK, Failed, say, show


def _ask(config: Config, request: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = control.ask(config.server.runtime_dir, request)
    except control.NotRunning as error:
        raise Failed(str(error)) from None
    if not answer.get("ok"):
        raise Failed(str(answer.get("error", "the server refused")))
    return answer


def _user(config: Config, name: str) -> str:
    try:
        return user_form(config.auth.username_format, name)
    except UnsafeName:
        return name  # it has no session then, and that is the answer


def who(config: Config, name: str | None, as_json: bool) -> int:
    """`who [USER]`."""
    request = {"command": "who"} | ({"user": _user(config, name)} if name else {})
    sessions = _ask(config, request).get("sessions", [])
    sessions.sort(key=lambda session: (session["user"], session["since"]))
    if not as_json:
        for session in sessions:
            session["since"] = datetime.datetime.fromtimestamp(session["since"]).isoformat(" ", "seconds")
    show(sessions, ("user", "service", "address", "tls", "since", "connection"), as_json)
    return OK


def kick(config: Config, name: str | None, connection: str | None, as_json: bool) -> int:
    """`kick USER` or `kick --connection ID`; fails when there was nobody to kick."""
    request = {"command": "kick"}
    request |= {"connection": connection} if connection is not None else {"user": _user(config, name or "")}
    kicked = int(_ask(config, request).get("kicked", 0))
    if as_json:
        show([{"kicked": kicked}], (), True)
    else:
        say(f"{kicked} session{'' if kicked == 1 else 's'} ended")
    return OK if kicked else FAILED
