"""`source.provider`: what it fills in, and what wins over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.control.host_limits import ELSEWHERE, provider_limits
from reconciler.manifests.manifest_set import load_set
from reconciler.model.known_providers import PROVIDERS
from reconciler.model.spec import MailCollector, SourceSpec

_LOGIN = {"username": "me", "password": {"env": "P"}}


def source(**declared: Any) -> SourceSpec:
    return SourceSpec.model_validate({**_LOGIN, **declared})


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"provider": "gmail"}, ("imap", "imap.gmail.com", 993, "implicit")),
        ({"provider": "gmail", "protocol": "pop3"}, ("pop3", "pop.gmail.com", 995, "implicit")),
        (
            {"provider": "gmail", "host": "imap.googlemail.com"},
            ("imap", "imap.googlemail.com", 993, "implicit"),
        ),
        ({"provider": "mailru", "tls": "starttls"}, ("imap", "imap.mail.ru", 143, "starttls")),
        ({"provider": "mailru", "port": 1993}, ("imap", "imap.mail.ru", 1993, "implicit")),
        ({"provider": "proton-bridge"}, ("imap", "127.0.0.1", 1143, "starttls")),
        ({"provider": "proton-bridge", "host": "::1"}, ("imap", "::1", 993, "implicit")),
        ({"provider": "davmail", "protocol": "pop3"}, ("pop3", "127.0.0.1", 1110, "none")),
    ],
)
def test_what_is_written_beside_it_wins(
    declared: dict[str, Any], expected: tuple[str, str, int, str]
) -> None:
    found = source(**declared)
    assert (found.protocol, found.host, found.effective_port, found.tls) == expected


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: str(provider.name))
def test_each_has_a_server(provider: Any) -> None:
    found = source(provider=provider.name)
    assert (found.host, found.effective_port, found.tls) == (provider.imap or provider.pop3)
    assert provider_limits(found.host) is ELSEWHERE or provider_limits(found.host).connections <= 10


def test_a_collectors_provider_counts_before_its_templates_server(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("""\
apiVersion: mailcollector/v1
kind: Template
metadata: {name: office}
spec: {source: {protocol: imap, host: imap.example.org, port: 1143, tls: none}}
---
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}
spec:
  from: office
  source: {provider: fastmail, username: me, password: {env: P}}
  recipient: {forwardTo: a@b.example}
""")
    [parsed] = load_set([tmp_path / "a.yaml"]).results
    [loaded] = parsed.manifests
    assert isinstance(loaded.manifest, MailCollector)
    found = loaded.manifest.spec.source
    assert (found.host, found.effective_port, found.tls) == ("imap.fastmail.com", 993, "implicit")


def test_a_preset_leaves_the_manifest_as_it_is() -> None:
    declared = {"provider": "gmail", **_LOGIN}
    before = dict(declared)
    SourceSpec.model_validate(declared)
    assert declared == before


def test_hosts_of_a_provider_have_its_limits() -> None:
    limits: Callable[[str], Any] = provider_limits
    assert limits("imap.gmail.com").connections == 10
    assert limits("imap.mail.yahoo.com").logins == 30
    assert limits("notgmail.com") is ELSEWHERE
    assert limits("gmail.com.example.org") is ELSEWHERE
