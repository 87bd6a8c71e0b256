"""OAuth2: access tokens for logging in, and the consent that they rest on."""

from reconciler.secrets.oauth2.consent import Consent
from reconciler.secrets.oauth2.tokens import AccessToken, AccessTokens

__all__ = ["AccessToken", "AccessTokens", "Consent"]
