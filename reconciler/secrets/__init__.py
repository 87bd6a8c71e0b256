"""Passwords and tokens. They are read whenever they are needed, never kept and never logged."""

from reconciler.secrets.secret_reading import read_secret, stamp

__all__ = ["read_secret", "stamp"]
