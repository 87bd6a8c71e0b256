"""Manifests with absolute paths, and their digests."""

from __future__ import annotations

from typing import Any

from reconciler.manifests.effective_manifest import digest, resolve_paths
from reconciler.model.spec import CollectorSpec, Destination, MailCollector

SOURCE = {"protocol": "imap", "host": "h", "username": "u"}


def collector(**source: Any) -> CollectorSpec:
    return CollectorSpec.model_validate(
        {"source": {**SOURCE, **source}, "recipient": {"forwardTo": "a@b"}}
    )


def test_relative_paths_begin_at_the_manifest() -> None:
    spec = resolve_paths(collector(caFile="../ca.pem", password={"file": "secrets/a"}), "/etc/mail")
    assert spec.source.ca_file == "/etc/mail/../ca.pem"
    assert spec.source.password is not None
    assert spec.source.password.file == "/etc/mail/secrets/a"


def test_absolute_paths_and_everything_else_stay() -> None:
    before = collector(caFile="/ca.pem", password={"command": ["./a", "b"]}, folders=["INBOX"])
    assert resolve_paths(before, "/etc/mail") == before
    oauth2 = {"provider": "google", "refreshToken": {"file": "r"}, "clientSecret": {"env": "A"}}
    source = resolve_paths(collector(oauth2=oauth2), "/d").source
    assert source.oauth2 is not None
    assert source.oauth2.refresh_token is not None
    assert source.oauth2.refresh_token.file == "/d/r"


def test_relative_base_becomes_absolute(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    spec = resolve_paths(collector(password={"file": "a"}), "collectors.d")
    assert spec.source.password is not None
    assert spec.source.password.file == f"{tmp_path}/collectors.d/a"


def test_paths_of_destinations() -> None:
    for kind, key in (("maildir", "path"), ("lmtp", "socket")):
        manifest = Destination.model_validate(
            {
                "apiVersion": "mailcollector/v1",
                "kind": "Destination",
                "metadata": {"name": "d"},
                "spec": {kind: {key: "x/{local}"}},
            }
        )
        assert resolve_paths(manifest, "/base").declared()["spec"][kind][key] == "/base/x/{local}"


def test_digest_does_not_depend_on_form() -> None:
    plain = collector(password={"file": "a"})
    assert digest(plain) == digest(
        CollectorSpec.model_validate(
            {
                "recipient": {"forwardTo": "a@b"},
                "enabled": True,
                "collect": {"interval": "5m"},
                "source": {
                    "password": {"file": "a"},
                    "tls": "implicit",
                    **dict(reversed(SOURCE.items())),
                },
            }
        )
    )
    assert len(digest(plain)) == 64


def test_digest_changes_with_every_field() -> None:
    specs = [
        collector(password={"file": "a"}),
        collector(password={"file": "b"}),
        collector(password={"env": "a"}),
        collector(password={"file": "a"}, port=1),
        collector(password={"file": "a"}, folders=["A"]),
    ]
    assert len({digest(spec) for spec in specs}) == len(specs)


def test_model_copy_keeps_the_type() -> None:
    manifest = MailCollector.model_validate(
        {
            "apiVersion": "mailcollector/v1",
            "kind": "MailCollector",
            "metadata": {"name": "x"},
            "spec": {
                "source": {**SOURCE, "password": {"file": "a"}},
                "recipient": {"forwardTo": "a@b"},
            },
        }
    )
    assert isinstance(resolve_paths(manifest, "/"), MailCollector)
