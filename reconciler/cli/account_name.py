"""The name of the user that runs this program."""

from __future__ import annotations

import os
import pwd


def user_name() -> str:
    """Return the user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
