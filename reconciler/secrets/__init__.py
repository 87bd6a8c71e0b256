"""Passwords and tokens, read where they live each time they are needed; never kept, never
logged."""

from reconciler.secrets.secret_reading import read_secret, stamp

__all__ = ["read_secret", "stamp"]
