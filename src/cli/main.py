"""The command line: arguments in, exit code out. What a subcommand does lives in a module of its own.

Exit codes: 0 done, 1 it could not be done or the answer is no, 2 wrong arguments or configuration. Modules that are
slow to import are imported by the subcommand that needs them.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import shtab

from .. import __version__
from ..auth.passwords import NEW_SCHEMES
from ..config import Config, ConfigErrors, load
from .output import FAILED, OK, USAGE, Failed, complain, say

DEFAULT_CONFIG = "/etc/culverhouse/culverhouse.toml"
Command = Callable[[argparse.Namespace], int]


def _config(arguments: argparse.Namespace) -> Config:
    return load(arguments.config)


def _serve(arguments: argparse.Namespace) -> int:
    from ..server.supervisor import serve

    return serve(arguments.config)


def _check_config(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    for warning in config.warnings:
        complain(f"{warning.file}{f':{warning.line}' if warning.line else ''}: warning: {warning.key}: {warning.text}")
    say(f"{arguments.config}: ok" + (f", {len(config.warnings)} warnings" if config.warnings else ""))
    return OK


def _demo(arguments: argparse.Namespace) -> int:
    from .demo import demo

    return demo(arguments.dir, serving=not arguments.no_serve)


def _user(arguments: argparse.Namespace) -> int:
    from . import users

    config = _config(arguments)
    if arguments.action == "add":
        return users.add(config, arguments.user, arguments.home, arguments.scheme, arguments.file)
    if arguments.action == "delete":
        return users.delete(config, arguments.user, arguments.file)
    if arguments.action == "passwd":
        return users.passwd(config, arguments.user, arguments.scheme, arguments.file)
    return users.listing(config, arguments.json)


def _auth_test(arguments: argparse.Namespace) -> int:
    from .users import auth_test

    return auth_test(_config(arguments), arguments.user, arguments.json)


def _who(arguments: argparse.Namespace) -> int:
    from .sessions import who

    return who(_config(arguments), arguments.user, arguments.json)


def _kick(arguments: argparse.Namespace) -> int:
    from .sessions import kick

    if (arguments.user is None) == (arguments.connection is None):
        raise Failed("name a user or --connection ID", USAGE)
    return kick(_config(arguments), arguments.user, arguments.connection, arguments.json)


def _index(arguments: argparse.Namespace) -> int:
    from . import index

    config = _config(arguments)
    action = {"status": index.status, "verify": index.verify, "rebuild": index.rebuild}[arguments.action]
    return action(config, arguments.user, arguments.mailbox, arguments.json)


def _completion(arguments: argparse.Namespace) -> int:
    print(shtab.complete(parser(), arguments.shell))
    return OK


def parser() -> argparse.ArgumentParser:
    """All subcommands and their arguments."""
    top = argparse.ArgumentParser(
        prog="culverhouse", description="A mailbox access server: IMAP4 and POP3 over Maildir."
    )
    top.add_argument("--version", action="version", version=f"culverhouse {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    config = argparse.ArgumentParser(add_help=False)
    option = config.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=f"default: {DEFAULT_CONFIG}")
    option.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads this attribute
    table = argparse.ArgumentParser(add_help=False)
    table.add_argument("--json", action="store_true", help="for programs")

    def command(name: str, run: Command, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=list(parents))
        made.set_defaults(run=run)
        return made

    command("serve", _serve, "Serve in the foreground; logs go to stderr.", config)
    command("check-config", _check_config, "Read the configuration and name every error at once.", config)

    demo = command("demo", _demo, "Make users, a certificate and sample mail in a directory, and serve them.")
    directory = demo.add_argument("--dir", default="demo", help="default: demo")
    directory.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    demo.add_argument("--no-serve", action="store_true", help="only make the directory")

    user = command("user", _user, "Who may log in (passwd-file).")
    actions = user.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("add", "Add a user."),
        ("delete", "Take a user out; the mail stays."),
        ("passwd", "Set a user's password."),
        ("list", "List the users."),
    ):
        made = actions.add_parser(
            name, help=text, description=text, parents=[config, *([table] if name == "list" else [])]
        )
        if name == "list":
            continue
        made.add_argument("user", metavar="USER")
        file = made.add_argument("--file", metavar="FILE", help="which passwd-file, where there are several")
        file.complete = shtab.FILE  # type: ignore[attr-defined]
        if name == "add":
            made.add_argument("--home", metavar="DIR", help="instead of [mail] home")
        if name in ("add", "passwd"):
            made.add_argument(
                "--scheme",
                default=NEW_SCHEMES[0],
                choices=NEW_SCHEMES,
                metavar="SCHEME",
                help=f"one of {', '.join(NEW_SCHEMES)}; default: {NEW_SCHEMES[0]}",
            )

    test = command("auth-test", _auth_test, "Check a password as the server would.", config, table)
    test.add_argument("user", metavar="USER")

    who = command("who", _who, "Who is logged in.", config, table)
    who.add_argument("user", metavar="USER", nargs="?")
    kick = command("kick", _kick, "End sessions.", config, table)
    kick.add_argument("user", metavar="USER", nargs="?", help="all sessions of this user")
    kick.add_argument("--connection", metavar="ID", help="one session, as `who` shows it")

    index = command("index", _index, "The index: what it holds, whether it is sound, building it anew.")
    actions = index.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("status", "What the index knows of each mailbox."),
        ("verify", "Look for damage."),
        ("rebuild", "Build it anew from the mail."),
    ):
        made = actions.add_parser(name, help=text, description=text, parents=[config, table])
        made.add_argument("user", metavar="USER", nargs="?", help="default: all users")
        made.add_argument("mailbox", metavar="MAILBOX", nargs="?", help="default: all mailboxes")

    completion = command("completion", _completion, "Print the completion script for a shell.")
    completion.add_argument("shell", choices=("bash", "zsh"))
    return top


def run(argv: Sequence[str]) -> int:
    """One command; the exit code."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else USAGE
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except ConfigErrors as errors:
        complain(str(errors))
        return USAGE
    except Failed as failed:
        complain(f"culverhouse: {failed}")
        return failed.code
    except BrokenPipeError:  # `culverhouse who | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return FAILED
