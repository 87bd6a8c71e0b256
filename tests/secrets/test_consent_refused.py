"""What an authorization server answers to a consent, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.consent_request import ConsentMethod, Prompt
from reconciler.model.errors import AuthenticationFailed, SourceUnsuitable
from reconciler.model.spec import SourceSpec
from reconciler.secrets.oauth2 import token_client
from reconciler.secrets.oauth2.consent_flow import Consent
from reconciler.secrets.oauth2.token_answers import ErrorAnswer


def spec_of(tmp_path: Path) -> SourceSpec:
    return SourceSpec.model_validate(
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


@pytest.mark.parametrize(
    ("code", "error"),
    [("invalid_grant", AuthenticationFailed), ("invalid_request", SourceUnsuitable)],
)
def test_a_code_that_is_refused_is_told(
    code: str, error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise ErrorAnswer(code, "too old")

    monkeypatch.setattr(token_client, "post", refused)
    consent = Consent(spec_of(tmp_path), ConsentMethod())
    with pytest.raises(error, match=rf"id\.example: no consent: {code}: too old"):
        consent._answer("https://id.example/token", {"code": "4711"})


@pytest.mark.parametrize("name", ["verification_uri", "verification_url"])
def test_the_page_for_a_code_has_either_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google and Yandex use the second one."""
    answers: list[dict[str, object]] = [
        {"device_code": "d", "user_code": "WDJB-MJHT", name: "https://id.example/device"},
        {"refresh_token": "first"},
    ]
    monkeypatch.setattr(token_client, "post", lambda *_: answers.pop(0))
    shown: list[Prompt] = []
    method = ConsentMethod(device=True, device_url="https://id.example/code")
    Consent(spec_of(tmp_path), method, lambda _: None).ask(shown.append)
    assert shown == [Prompt("https://id.example/device", "WDJB-MJHT")]
    assert (tmp_path / "refresh").read_text() == "first\n"
