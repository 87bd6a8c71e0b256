"""Where the providers give out tokens, and what has to be asked of them for mail.

Their pages: developers.google.com/identity/protocols/oauth2, learn.microsoft.com/entra/identity-platform,
yandex.ru/dev/id/doc, help.mail.ru/developers/oauth.
"""

from __future__ import annotations

from msgspec import Struct

from reconciler.manifests.domains import is_neighbour
from reconciler.manifests.spec import OAuth2, SourceSpec
from reconciler.model.errors import SourceUnsuitable

_MICROSOFT = "https://login.microsoftonline.com/common/oauth2/v2.0"


class Endpoints(Struct, frozen=True):
    """URLs; "": the provider has no such thing, or it is not known. `scopes` by protocol."""

    token: str
    authorization: str = ""
    device: str = ""
    imap: str = ""
    pop3: str = ""
    loopback: str = "127.0.0.1"
    """What this machine is called where the browser comes back to it."""


_PRESETS = {
    # no device URL: Google gives no mail to programs that ask this way
    "google": Endpoints("https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/v2/auth",
                        imap="https://mail.google.com/", pop3="https://mail.google.com/"),
    "microsoft": Endpoints(f"{_MICROSOFT}/token", f"{_MICROSOFT}/authorize", f"{_MICROSOFT}/devicecode",
                           imap="https://outlook.office.com/IMAP.AccessAsUser.All offline_access",
                           pop3="https://outlook.office.com/POP.AccessAsUser.All offline_access",
                           loopback="localhost"),  # any port of 127.0.0.1 would have to be registered
    "yandex": Endpoints("https://oauth.yandex.ru/token", "https://oauth.yandex.ru/authorize",
                        "https://oauth.yandex.ru/device/code"),  # the application's registration says what it may
    "mailru": Endpoints("https://oauth.mail.ru/token", "https://oauth.mail.ru/login", imap="mail.imap",
                        pop3="mail.imap"),
}


class Application(Struct, frozen=True):
    """What a manifest says of OAuth2, presets filled in."""

    endpoints: Endpoints
    client_id: str
    scope: str | None


def application(source: SourceSpec, oauth2: OAuth2) -> Application:
    """Raises SourceUnsuitable where the manifest leaves out what is needed."""
    if not oauth2.client_id:
        raise SourceUnsuitable("source.oauth2 has no clientId: register an application with the provider, and name it")
    preset = _PRESETS.get(oauth2.provider, Endpoints(""))
    token = oauth2.token_url or preset.token
    if not token:
        raise SourceUnsuitable("source.oauth2 has no tokenUrl: `provider: custom` needs one")
    if is_neighbour(token, source.host):
        raise SourceUnsuitable(f"source.oauth2.tokenUrl is on this machine and {source.host} is not: it is not asked")
    scope = oauth2.scope or (preset.imap if source.protocol == "imap" else preset.pop3) or None
    endpoints = Endpoints(token, _of(token, preset, preset.authorization), _of(token, preset, preset.device),
                          loopback=preset.loopback)
    return Application(endpoints, oauth2.client_id, scope)


def _of(token: str, preset: Endpoints, url: str) -> str:
    """A Microsoft tenant's own: its other addresses stand beside its token URL."""
    if token == preset.token or not preset.token or not url:
        return url
    return token.rpartition("/")[0] + "/" + url.rpartition("/")[2]
