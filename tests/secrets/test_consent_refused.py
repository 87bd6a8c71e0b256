"""A consent that the authorization server refuses, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.consent_request import ConsentMethod
from reconciler.model.errors import AuthenticationFailed, SourceUnsuitable
from reconciler.model.spec import SourceSpec
from reconciler.secrets.oauth2 import token_client
from reconciler.secrets.oauth2.consent_flow import Consent
from reconciler.secrets.oauth2.token_answers import Answered


@pytest.mark.parametrize(
    ("code", "error"),
    [("invalid_grant", AuthenticationFailed), ("invalid_request", SourceUnsuitable)],
)
def test_a_code_that_is_refused_is_told(
    code: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise Answered(code, "too old")

    monkeypatch.setattr(token_client, "post", refused)
    spec = SourceSpec.model_validate(
        {
            "protocol": "imap",
            "host": "imap.example",
            "username": "ann",
            "oauth2": {
                "provider": "google",
                "clientId": "id",
                "refreshToken": {"file": str(tmp_path / "refresh")},
            },
        }
    )
    consent = Consent(spec, ConsentMethod())
    with pytest.raises(error, match=rf"id\.example: no consent: {code}: too old"):
        consent._answer("https://id.example/token", {"code": "4711"})
