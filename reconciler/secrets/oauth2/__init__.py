"""OAuth2: access tokens to log in with, and the consent that they need."""

from reconciler.secrets.oauth2.access_tokens import AccessToken, AccessTokens
from reconciler.secrets.oauth2.consent_flow import Consent

__all__ = ["AccessToken", "AccessTokens", "Consent"]
