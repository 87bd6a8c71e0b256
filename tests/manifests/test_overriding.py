"""The servers that a template's secret may be sent to."""

from __future__ import annotations

import pytest

from reconciler.manifests.loading import ParsedFile, parse

PASSWORD = "protocol: imap, host: imap.example.org, password: {file: '/s/{name}'}"
OAUTH2 = (
    "protocol: imap, host: imap.example.org, oauth2: {provider: custom, tokenUrl: "
    "'https://login.example.org/t', clientId: i, clientSecret: {file: /s}, refreshToken: {file: "
    "/t}}"
)


def parsed(template: str, own: str, overridable: str = "", directory: str = "") -> ParsedFile:
    return parse(
        f"""\
apiVersion: mailcollector/v1
kind: Template
metadata: {{name: t}}
spec:
  {f"overridable: [{overridable}]" if overridable else "enabled: true"}
  source: {{{template}}}
---
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: c}}
spec:
  from: t
  source: {{username: u{own and ", "}{own}}}
  recipient: {{forwardTo: a@local.example}}
""".encode(),
        f"{directory}a.yaml",
    )


def refused(found: ParsedFile) -> list[str]:
    assert {one.rule for one in found.diagnostics if one.is_error} <= {"template-secret"}
    return [one.path.removeprefix("spec.source.") for one in found.diagnostics if one.is_error]


@pytest.mark.parametrize(
    ("template", "own", "fields"),
    [
        (PASSWORD, "", []),
        (PASSWORD, "host: evil.example", ["host"]),
        (PASSWORD, "host: imap.example.org", []),
        (PASSWORD, "port: 1993", ["port"]),
        (PASSWORD, "tls: none", ["tls"]),
        (PASSWORD, "protocol: pop3", ["protocol"]),
        (PASSWORD, "caFile: mine.pem", ["caFile"]),
        (PASSWORD, f"fingerprint: 'sha256:{'ab' * 32}'", ["fingerprint"]),
        (PASSWORD, "provider: gmail", ["provider"]),
        (PASSWORD, "host: evil.example, port: 1, tls: none", ["host", "port", "tls"]),
        (PASSWORD, "host: mine.example, password: {file: /mine}", []),
        (PASSWORD, "host: mine.example, password: {env: MINE}", []),
        (PASSWORD, "folders: [INBOX, Sent], address: a@example.org", []),
        ("protocol: imap, password: {file: /s}", "host: any.example, port: 1", []),
        (
            "protocol: imap, host: imap.example.org",
            "host: mine.example, password: {file: /mine}",
            [],
        ),
        (OAUTH2, "oauth2: {tokenUrl: 'https://evil.example/t'}", ["oauth2.tokenUrl"]),
        (OAUTH2, "oauth2: {issuer: 'https://evil.example'}", ["oauth2.issuer"]),
        (OAUTH2, "host: evil.example", ["host"]),
        (
            OAUTH2,
            "oauth2: {clientId: mine, refreshToken: {file: /mine}, tokenUrl: 'https://e.example/t'}",
            ["oauth2.tokenUrl"],
        ),
        (
            OAUTH2,
            "oauth2: {refreshToken: {file: /mine}, clientSecret: {env: M}, tokenUrl: 'https://m.example'}",
            [],
        ),
        (OAUTH2, "host: mine.example, password: {file: /mine}", []),
    ],
)
def test_a_template_s_secret_goes_where_the_template_says(
    template: str, own: str, fields: list[str]
) -> None:
    found = parsed(template, own)
    assert sorted(refused(found)) == fields
    assert [one.name for one in found.manifests] == ([] if fields else ["c"])
    for one in found.diagnostics:
        assert one.line == (13 if one.rule == "template-secret" else one.line)


@pytest.mark.parametrize(
    ("own", "overridable", "fields"),
    [
        ("host: other.example", "host", []),
        ("host: other.example, port: 1", "host", ["port"]),
        ("host: other.example, port: 1", "port, host", []),
    ],
)
def test_a_template_may_allow_it(own: str, overridable: str, fields: list[str]) -> None:
    found = parsed(PASSWORD, own, overridable)
    assert refused(found) == fields
    if not fields:
        assert found.manifests[0].manifest.spec.source.host == "other.example"  # type: ignore[union-attr]


def test_what_may_be_overridden_is_a_template_s_to_say() -> None:
    found = parsed(PASSWORD, "host: other.example", "passwords")
    assert {"choice", "invalid-template"} <= {one.rule for one in found.diagnostics}
    own = parse(
        b"""\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: c}
spec: {overridable: [host],
       source: {protocol: imap, host: a.example, username: u, password: {file: x}},
       recipient: {forwardTo: a@local.example}}
""",
        "a.yaml",
    )
    assert [one.rule for one in own.diagnostics] == ["unknown-key"]
