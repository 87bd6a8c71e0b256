"""What identifies an access token, and all that is needed to ask for it."""

from __future__ import annotations

import os

from msgspec import Struct

from reconciler.model.secret import Secret
from reconciler.model.spec import SecretRef, SourceSpec
from reconciler.secrets.oauth2.token_endpoints import Application, application

SecretPlace = tuple[str, ...]
"""Where a secret is kept: the same for all manifests that refer to the same file or variable."""
TokenKey = tuple[str, str, SecretPlace, SecretPlace, str]
"""Identifies an access token: token URL or issuer, client id, the places of client secret and
refresh token, scope."""
AccountKey = tuple[str, str, int, str]
"""Identifies an account: protocol, host, port, user name."""


class TokenRequest(Struct, frozen=True):
    """A request for an access token."""

    key: TokenKey
    account: AccountKey
    application: Application
    client_secret: SecretRef | None
    refresh_token: SecretRef | None
    collector: str
    """The collector that an error or a warning names."""

    @classmethod
    def of(cls, source: SourceSpec, collector: str = "NAME") -> TokenRequest:
        """Return the request for a source. Raises SourceUnsuitable where its manifest lacks a part
        of it."""
        oauth2 = source.oauth2
        assert oauth2 is not None  # noqa: S101  # nobody else asks for tokens
        found = application(source, oauth2)
        key = (
            found.issuer or found.endpoints.token,
            found.client_id,
            place_of(oauth2.client_secret),
            place_of(oauth2.refresh_token),
            found.scope or "",
        )
        account = (source.protocol, source.host, source.effective_port, source.username)
        return cls(key, account, found, oauth2.client_secret, oauth2.refresh_token, collector)


def place_of(ref: SecretRef | None) -> SecretPlace:
    """Return where a secret is kept, with links resolved; empty for none."""
    if ref is None:
        return ()
    if ref.file is not None:
        return "file", os.path.realpath(ref.file)
    if ref.env is not None:
        return "env", ref.env
    if ref.command is not None:
        return ("command", *ref.command)
    return "value", Secret(ref.value or "").digest()
