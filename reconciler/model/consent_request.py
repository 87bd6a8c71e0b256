"""How a person lets a collector read a mailbox by OAuth2."""

from __future__ import annotations

from msgspec import Struct


class Prompt(Struct, frozen=True):
    """What to show: an address to open, and a code to type there, where one is needed."""

    url: str
    code: str = ""


class ConsentMethod(Struct, frozen=True):
    """`device`: by a code (RFC 8628), else by a browser that comes back to `port` of this machine
    (0: a free one). The URLs are where to ask for consent and for codes, where the provider is
    custom."""

    device: bool = False
    port: int = 0
    authorization_url: str = ""
    device_url: str = ""
