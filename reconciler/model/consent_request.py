"""The consent of a person to a collector's access to a mailbox by OAuth2."""

from __future__ import annotations

from msgspec import Struct


class Prompt(Struct, frozen=True):
    """The instructions for the person: a URL to open, and a code to enter there, if needed."""

    url: str
    code: str = ""


class ConsentMethod(Struct, frozen=True):
    """The way to ask for consent.

    `device` means a code (RFC 8628). Otherwise a browser on this machine is redirected to `port` (0
    for any free port). The URLs are the endpoints of a custom provider.
    """

    device: bool = False
    port: int = 0
    authorization_url: str = ""
    device_url: str = ""


class BrowserConsent(Struct, frozen=True):
    """A request for consent in a browser. `url` is the address to open, `state` returns with the
    answer, `verifier` is that of PKCE, and `address` is where the browser returns to."""

    url: str
    state: str
    verifier: str
    address: str
