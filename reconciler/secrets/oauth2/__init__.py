"""OAuth2: access tokens for logging in, and the consent that they rest on."""

from reconciler.secrets.oauth2.access_tokens import AccessToken, AccessTokens
from reconciler.secrets.oauth2.consent_flow import Consent

__all__ = ["AccessToken", "AccessTokens", "Consent"]
