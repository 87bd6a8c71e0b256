"""The endpoints and the scope of an account: those of the manifest, else those of the provider
(`model.known_providers.OAUTH2`)."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from reconciler.model.domains import reaches_this_machine
from reconciler.model.errors import ProtocolViolation, SourceUnsuitable
from reconciler.model.known_providers import OAUTH2, Endpoints
from reconciler.model.secret import Secret
from reconciler.model.spec import OAuth2, SourceSpec
from reconciler.secrets.oauth2 import token_client
from reconciler.secrets.oauth2.token_answers import ErrorAnswer, harmless_words
from reconciler.secrets.oauth2.token_client import TokenClient
from reconciler.secrets.oauth2.token_urls import require_private


class Application(Struct, frozen=True):
    """The application that a manifest declares, with the provider's values filled in."""

    endpoints: Endpoints
    """With an issuer: the endpoints that the manifest names besides."""
    client_id: str
    scope: str | None
    issuer: str = ""
    ca_file: str | None = None
    ways: tuple[bool, ...] = (False,)
    """How its secret is sent, best way first: True by HTTP Basic, False in the form."""
    local: bool = False
    """The mail server is on this machine, so the token endpoint may be too, as in a test."""

    def clients(self, secret: Secret | None) -> list[TokenClient]:
        """Return the ways to authenticate the application, best first."""
        ways = self.ways if secret is not None else self.ways[:1]
        return [
            TokenClient(self.client_id, secret, basic, self.ca_file, self.local) for basic in ways
        ]

    def discovered(self) -> Endpoints:
        """Return the endpoints. Where the manifest names an issuer, that is asked for them (OpenID
        Connect Discovery; RFC 8414). Raises what `token_client.get` does."""
        if not self.issuer:
            return self.endpoints
        metadata = _metadata(self.issuer, self.ca_file, self.local)

        def url(name: str, stated: str) -> str:
            found = stated or metadata.get(name) or ""
            if not isinstance(found, str):
                raise ProtocolViolation(f"{self.issuer}: its metadata have no text for {name}")
            if found:
                require_private(found, local=self.local)
            return found

        token = url("token_endpoint", self.endpoints.token)
        if not token:
            raise SourceUnsuitable(
                f"{self.issuer}: its metadata name no token_endpoint: state source.oauth2.tokenUrl"
            )
        return Endpoints(
            token,
            url("authorization_endpoint", self.endpoints.authorization),
            url("device_authorization_endpoint", self.endpoints.device),
            loopback=self.endpoints.loopback,
        )


def application(source: SourceSpec, oauth2: OAuth2) -> Application:
    """Return the application of a source. Raises SourceUnsuitable where the manifest lacks a part
    of it."""
    if not oauth2.client_id:
        raise SourceUnsuitable(
            "source.oauth2 has no clientId: register an application with the provider, and name it"
        )
    preset = OAUTH2.get(oauth2.provider, Endpoints(""))
    token = oauth2.token_url or preset.token
    if not token and not oauth2.issuer:
        raise SourceUnsuitable(
            "source.oauth2 has neither issuer nor tokenUrl: `provider: custom` needs one of them"
        )
    scope = oauth2.scope or (preset.imap if source.protocol == "imap" else preset.pop3) or None
    endpoints = Endpoints(
        token,
        _of(token, preset, preset.authorization),
        _of(token, preset, preset.device),
        loopback=preset.loopback,
    )
    return Application(
        endpoints,
        oauth2.client_id,
        scope,
        oauth2.issuer or "",
        oauth2.ca_file,
        _ways(oauth2),
        reaches_this_machine(source.host),
    )


def _ways(oauth2: OAuth2) -> tuple[bool, ...]:
    """Return how the client's secret is sent, best way first. The known providers all take it in
    the form. Other servers have to support HTTP Basic (RFC 6749, section 2.3.1)."""
    if oauth2.client_auth is not None:
        return (oauth2.client_auth == "basic",)
    return (True, False) if oauth2.provider == "custom" else (False,)


def _metadata(issuer: str, ca_file: str | None, local: bool) -> dict[str, object]:
    """Return the metadata of an issuer (OpenID Connect Discovery 1.0, section 4; else RFC 8414,
    section 3). Raises SourceUnsuitable, and what `token_client.get` does."""
    where, base = urlsplit(issuer), issuer.rstrip("/")
    origin = f"{where.scheme}://{where.netloc}"
    places = (
        f"{base}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{where.path.rstrip('/')}",
    )
    refused: Exception = SourceUnsuitable(f"{issuer} is no issuer")
    for place in places:
        try:
            metadata = token_client.get(place, ca_file, local=local)
        except (ErrorAnswer, ProtocolViolation) as error:
            refused = error
            continue
        if str(metadata.get("issuer", "")).rstrip("/") != base:
            raise SourceUnsuitable(
                f"{issuer}: its metadata are those of another issuer, "
                f"{harmless_words(metadata.get('issuer'), ())!r}"
            )
        return metadata
    raise SourceUnsuitable(
        f"{issuer} tells no endpoints of its own: state source.oauth2.tokenUrl ({refused})"
    )


def _of(token: str, preset: Endpoints, url: str) -> str:
    """Return an endpoint of a Microsoft tenant. Its endpoints differ only in the last part of the
    path, so they follow from its token URL."""
    if token == preset.token or not url:
        return url
    return token.rpartition("/")[0] + "/" + url.rpartition("/")[2]
