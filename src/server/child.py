"""The entry of every process that this server starts: `python -m culverhouse.server.child ROLE DESCRIPTOR PARENT`.

The module that does the work is imported under its own name, not as __main__, so that what it pickles can be read by
others. Only what the role needs is imported.
"""

import faulthandler
import importlib
import sys

from .process import bind_to_parent

ROLES = {"worker": "worker", "auth": "authd", "helper": "helper_main", "check": "certificates"}


def main() -> None:
    """Become what the first argument says."""
    role, descriptor, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    bind_to_parent(parent, f"culver-{role}")
    faulthandler.enable()
    importlib.import_module(f".{ROLES[role]}", __package__).main(descriptor)


if __name__ == "__main__":
    main()
