"""The policy: rules for manifests, and its enforcement where files are opened and hosts are
connected to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from msgspec.structs import replace

from reconciler.control.observation import ManifestDirectory
from reconciler.manifests import parallel_parsing, policy_file
from reconciler.manifests.validation import validate
from reconciler.model.domains import host_to_ascii
from reconciler.model.errors import ConnectionFailed, PolicyRefused, SecretUnavailable
from reconciler.model.manifest_policy import Allowed, enforce
from reconciler.model.spec import SecretRef
from reconciler.secrets import read_secret
from reconciler.secrets.oauth2.token_client import TokenClient, post
from reconciler.wire import tls
from reconciler.wire.confined_files import opened_within, require_within
from reconciler.wire.connection import Connection
from reconciler.wire.connection_limits import Limits
from reconciler.wire.endpoint import Endpoint
from reconciler.wire.name_lookup import SocketAddress, allowed_by_policy, look_up
from tests.project import ROOT

STRICT = """\
apiVersion: mailcollector/v1
kind: Policy
secrets:
  files: [{root}/secrets]
  env: MAIL_
  commands: [/usr/bin/pass]
caFiles: [{root}/ca]
sockets: [{root}/sockets]
maildirs: [{root}/mail]
hosts:
  sources: ["*.example.org", 192.0.2.0/24]
  destinations: [mx.example.org, 127.0.0.1]
  tokens: [login.example.org]
"""
COLLECTOR = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  source:
    protocol: imap
    host: {host}
    username: u
    {login}
    {more}
  recipient: {{forwardTo: a@local.example}}
"""
DESTINATION = """\
apiVersion: mailcollector/v1
kind: Destination
metadata: {name: d}
spec: {default: true, SPEC}
"""


@pytest.fixture(autouse=True)
def without_policy() -> Iterator[None]:
    yield
    enforce(Allowed())


@pytest.fixture
def strict(tmp_path: Path) -> Allowed:
    for name in ("secrets", "ca", "sockets", "mail", "manifests"):
        (tmp_path / name).mkdir()
    (tmp_path / "policy.yaml").write_text(STRICT.replace("{root}", str(tmp_path)))
    found = policy_file.load(tmp_path / "policy.yaml")
    enforce(found)
    return found


def collector(
    login: str = "password: {file: ../secrets/a}", host: str = "imap.example.org", more: str = ""
) -> str:
    return COLLECTOR.format(name="c", host=host, login=login, more=more)


def destination(spec: str) -> str:
    return DESTINATION.replace("SPEC", spec)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        (collector(), []),
        (collector("password: {file: ../secrets/deep/er/a}"), []),
        (collector("password: {file: ../secrets/../../etc/shadow}"), ["policy-secret-file"]),
        (collector("password: {file: ../secretsX/a}"), ["policy-secret-file"]),
        (collector("password: {file: /proc/self/environ}"), ["policy-secret-file"]),
        (collector("password: {env: MAIL_SALES}"), []),
        (collector("password: {env: DATABASE_URL}"), ["policy-env"]),
        (collector("password: {command: [/usr/bin/pass, show, x]}"), []),
        (collector("password: {command: [pass, show, x]}"), ["policy-command"]),
        (collector("password: {command: [/usr/bin/../bin/pass]}"), ["policy-command"]),
        (collector("password: {command: [sh, -c, id]}"), ["policy-command"]),
        (collector(host="IMAP.Example.ORG"), []),
        (
            collector(host="imap.example.org.evil.net"),
            [],
        ),  # with networks allowed, only its address tells
        (collector(host="192.0.2.7"), []),
        (collector(host="192.0.3.7"), ["policy-host"]),
        (collector(host='"::ffff:192.0.3.7"'), ["policy-host"]),
        (collector(more="caFile: ../ca/x.pem"), []),
        (collector(more="caFile: /dev/zero"), ["policy-ca-file"]),
        (
            collector(
                "oauth2: {provider: custom, clientId: x, refreshToken: {file: /etc/x}, "
                "clientSecret: {env: X}, tokenUrl: 'https://evil.net/t'}"
            ),
            ["policy-env", "policy-host", "policy-secret-file"],
        ),
        (
            collector(
                "oauth2: {provider: google, clientId: x, clientSecret: {file: ../secrets/a}, "
                "refreshToken: {file: ../secrets/b}}"
            ),
            ["policy-host"],
        ),
        (destination("maildir: {path: '../mail/{domain}/{local}'}"), []),
        (destination("maildir: {path: '../mail/../{local}'}"), ["policy-maildir"]),
        (destination("maildir: {path: '/home/{local}'}"), ["policy-maildir"]),
        (destination("lmtp: {socket: ../sockets/lmtp}"), []),
        (destination("lmtp: {socket: /run/docker.sock}"), ["policy-socket"]),
        (destination("smtp: {host: mx.example.org}"), []),
        (
            destination(
                "smtp: {host: imap.example.org, tls: starttls, username: u, password: {file: x}}"
            ),
            ["policy-secret-file"],
        ),
        (destination("lmtp: {host: 169.254.169.254, port: 24}"), ["policy-host"]),
    ],
)
def test_manifests_name_what_the_policy_allows(
    text: str, rules: list[str], strict: Allowed, tmp_path: Path
) -> None:
    path = tmp_path / "manifests" / "a.yaml"
    path.write_text(text)
    found = [one.rule for one in validate([path]) if one.is_error]
    assert sorted(found) == rules
    if rules:
        assert ManifestDirectory(path.parent).observe().observed.declarations == ()
    enforce(Allowed())
    assert not [one for one in validate([path]) if one.is_error]  # without it, all of them are fine


def test_templates_give_no_way_around(strict: Allowed, tmp_path: Path) -> None:
    (tmp_path / "manifests" / "t.yaml").write_text(
        "apiVersion: mailcollector/v1\nkind: Template\nmetadata: {name: t}\nspec:\n"
        "  source: {protocol: imap, host: imap.example.org, password: {file: '/etc/{name}'}}\n---\n"
        "apiVersion: mailcollector/v1\nkind: MailCollector\nmetadata: {name: c}\nspec:\n  from: t\n"
        "  source: {username: u}\n  recipient: {forwardTo: a@b.example}\n"
    )
    found = validate([tmp_path / "manifests"])
    assert {one.rule for one in found if one.is_error} == {"policy-secret-file", "invalid-template"}


def test_other_processes_go_by_it_too(
    strict: Allowed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel_parsing, "MANY", 2)
    monkeypatch.setattr("reconciler.manifests.parallel_check.MANY", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(4):
        (tmp_path / "manifests" / f"{number}.yaml").write_text(
            COLLECTOR.format(
                name=f"c{number}", host="imap.example.org", login="password: {env: X}", more=""
            )
        )
    assert [one.rule for one in validate([tmp_path / "manifests"]) if one.is_error] == [
        "policy-env"
    ] * 4
    enforce(Allowed())
    assert not [
        one for one in validate([tmp_path / "manifests"]) if one.is_error
    ]  # nothing of it was remembered


# What is opened


@pytest.mark.parametrize("way", ["link", "directory", "absolute", "dots"])
def test_what_a_link_leads_to_outside_is_not_opened(
    way: str, strict: Allowed, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("hunter2\n")
    secrets = tmp_path / "secrets"
    match way:
        case "link":
            (secrets / "a").symlink_to("../outside/x")
        case "absolute":
            (secrets / "a").symlink_to(tmp_path / "outside" / "x")
        case "directory":
            (secrets / "d").symlink_to("../outside")
    path = {"directory": secrets / "d" / "x", "dots": secrets / ".." / "outside" / "x"}.get(
        way, secrets / "a"
    )
    with pytest.raises(PolicyRefused):
        read_secret(SecretRef(file=str(path)))
    enforce(Allowed())
    assert read_secret(SecretRef(file=str(path))).reveal() == "hunter2"


def test_links_inside_are_followed_as_kubernetes_makes_them(
    strict: Allowed, tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets"
    (secrets / "..2026").mkdir()
    (secrets / "..2026" / "a").write_text("hunter2\n")
    (secrets / "..data").symlink_to("..2026")
    (secrets / "a").symlink_to("..data/a")
    assert read_secret(SecretRef(file=str(secrets / "a"))).reveal() == "hunter2"


def test_what_is_swapped_between_the_check_and_the_reading_is_not_read(
    strict: Allowed, tmp_path: Path
) -> None:
    path, roots = tmp_path / "secrets" / "a", (str(tmp_path / "secrets"),)
    path.write_text("inside")
    (tmp_path / "outside").write_text("outside")
    with opened_within(str(path), roots, "file") as place:
        path.unlink()
        path.symlink_to("../outside")
        assert Path(place).read_text() == "inside"


def test_secrets_of_other_kinds_are_refused_as_they_are_read(strict: Allowed) -> None:
    for ref in (
        SecretRef(env="PATH"),
        SecretRef(command=("/bin/echo", "x")),
        SecretRef(file="/etc/hostname"),
    ):
        with pytest.raises(PolicyRefused):
            read_secret(ref)
    with pytest.raises(SecretUnavailable):
        read_secret(SecretRef(env="MAIL_NOBODY"))


def test_ca_files_and_maildirs_are_held_to_their_roots(strict: Allowed, tmp_path: Path) -> None:
    with pytest.raises(PolicyRefused):
        tls.client_context("/etc/ssl/certs/ca-certificates.crt", None)
    (tmp_path / "mail" / "alice").symlink_to("/home")
    require_within(str(tmp_path / "mail" / "bob"), strict.maildirs, "Maildir")
    with pytest.raises(PolicyRefused):
        require_within(str(tmp_path / "mail" / "alice" / "x"), strict.maildirs, "Maildir")


# What is connected to


def resolved(*found: str) -> list[SocketAddress]:
    return [
        SocketAddress(socket.AF_INET6 if ":" in one else socket.AF_INET, (one, 993))
        for one in found
    ]


@pytest.mark.parametrize(
    ("host", "found", "fine"),
    [
        ("imap.example.org", ["93.184.216.34"], ["93.184.216.34"]),
        ("imap.example.org", ["127.0.0.1", "10.1.2.3", "93.184.216.34"], ["93.184.216.34"]),
        ("imap.example.org", ["127.0.0.1"], []),
        (
            "imap.example.org",
            ["169.254.169.254", "::1", "fe80::1%eth0", "::ffff:127.0.0.1", "fd00::1", "0.0.0.0"],
            [],
        ),
        (
            "imap.example.org",
            ["192.0.2.9", "::ffff:192.0.2.10"],
            ["192.0.2.9", "::ffff:192.0.2.10"],
        ),
        # whatever else leads into a network of our own, or to a cloud's metadata
        (
            "imap.example.org",
            [
                "::127.0.0.1",
                "64:ff9b::10.0.0.1",
                "64:ff9b:1::1",
                "2002:7f00:1::",
                "::ffff:0:10.0.0.1",
                "fec0::1",
                "ff02::1",
                "224.0.0.1",
                "168.63.129.16",
                "192.0.0.192",
                "100.100.100.200",
                "fd00:ec2::254",
                "::",
                "2001:0:7f00:1::",
                "240.0.0.1",
                "255.255.255.255",
                "198.18.0.1",
            ],
            [],
        ),
        (
            "imap.example.org",
            ["64:ff9b::93.184.216.34", "2606:4700::1"],
            ["64:ff9b::93.184.216.34", "2606:4700::1"],
        ),
        ("evil.net", ["93.184.216.34"], []),
        ("evil.net", ["192.0.2.9"], ["192.0.2.9"]),
    ],
)
def test_a_name_is_judged_by_what_it_leads_to(
    host: str, found: list[str], fine: list[str], strict: Allowed
) -> None:
    endpoint = Endpoint(host, 993, "implicit")
    if not fine:
        with pytest.raises(PolicyRefused, match="sources"):
            allowed_by_policy(endpoint, resolved(*found))
    else:
        assert [one.sockaddr[0] for one in allowed_by_policy(endpoint, resolved(*found))] == fine


def test_patterns_of_names_in_any_script_and_writing_match(tmp_path: Path) -> None:
    patterns = [
        "*.почта.рф",
        "*.XN--80A1ACNY.xn--p1ai",
        "IMAP.*.Example.org.",
        "10.9.8.7",
        "2001:db8::/32",
    ]
    (tmp_path / "p.yaml").write_text(
        "apiVersion: mailcollector/v1\nkind: Policy\nhosts: {sources: "
        + json.dumps(patterns, ensure_ascii=False)
        + "}\n"
    )
    found = policy_file.load(tmp_path / "p.yaml")
    for host in (
        "imap.почта.рф",
        "IMAP.ПОЧТА.РФ.",
        "imap.xn--80a1acny.xn--p1ai",
        "imap.eu.example.org",
        "10.9.8.7",
    ):
        assert found.by_name("sources", host_to_ascii(host)), host
    for host in ("почта.рф", "imap.почта.рф.evil.example", "imap.example.org", "10.9.8.8"):
        assert not found.by_name("sources", host_to_ascii(host)), host


@pytest.mark.parametrize(
    "pattern",
    [
        "imap.example.org:993",
        "https://x.example",
        "10.0.0.0/33",
        "[::1]",
        " x",
        "a b",
        "почта*.рф",
        "",
        "a..b",
        "user@x.example",
    ],
)
def test_a_pattern_that_could_never_match_is_refused(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "apiVersion: mailcollector/v1\nkind: Policy\nhosts: {tokens: ["
        + json.dumps(pattern, ensure_ascii=False)
        + "]}\n"
    )
    with pytest.raises(PolicyRefused, match=r"p\.yaml:3:18: hosts\.tokens"):
        policy_file.load(tmp_path / "p.yaml")


def test_behind_a_proxy_a_token_endpoint_is_judged_by_its_name_and_the_proxy_is_the_administrator_s(
    strict: Allowed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy resolves the name itself, so that an allowed network does not allow a name."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        enforce(replace(strict, tokens=("login.example.org", "192.0.2.0/24")))
        for url in ("https://evil.net/t", "https://169.254.169.254/t"):
            with pytest.raises(PolicyRefused, match="does not allow to ask it"):
                post(url, {}, [TokenClient("x")], [])
        asked = threading.Thread(target=answer_once, args=(proxy,))
        asked.start()
        with pytest.raises(ConnectionFailed):
            post("https://login.example.org/t", {}, [TokenClient("x")], [])
        asked.join()


def answer_once(proxy: socket.socket) -> None:
    connection, _ = proxy.accept()
    with connection:
        assert connection.recv(4096).startswith(b"CONNECT login.example.org:443 ")
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


def test_our_own_options_are_no_secrets_of_manifests_unless_the_policy_says_so() -> None:
    assert Allowed("p", env_prefix="MAIL").variable("MAIL_SALES")
    assert not Allowed("p", env_prefix="MAIL").variable("MAILCOLLECTOR_STATE")
    assert Allowed("p", env_prefix="MAILCOLLECTOR_SECRET_").variable("MAILCOLLECTOR_SECRET_A")


def test_each_role_has_its_own_hosts_and_a_connection_asks(strict: Allowed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        allowed = Connection(Endpoint("127.0.0.1", port, "none", role="destinations"), Limits())
        allowed.open()
        allowed.close()
        server.settimeout(5)
        server.accept()[0].close()
        for role in ("sources", "tokens"):
            with pytest.raises(PolicyRefused):
                Connection(Endpoint("127.0.0.1", port, "none", role=role), Limits()).open()
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()


def test_sockets_are_held_to_their_roots(strict: Allowed, tmp_path: Path) -> None:
    fine, other = (
        Endpoint.local(str(tmp_path / "sockets" / "s")),
        Endpoint.local("/run/docker.sock"),
    )
    assert allowed_by_policy(fine, look_up(fine, 1, Future()))
    with pytest.raises(PolicyRefused):
        allowed_by_policy(other, look_up(other, 1, Future()))


# The file itself


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: Policy\n", "1:1: the policy: a key stands"),
        ("a: [\n", "policy.yaml:2:1"),
        ("", "one document"),
        (
            "apiVersion: mailcollector/v1\nkind: Policy\nmaildir: [/var]\n",
            "3:1: the policy: no such field: did you mean",
        ),
        (
            "apiVersion: mailcollector/v1\nkind: Policy\nsecrets: {files: [relative]}\n",
            "3:19: secrets.files[0]: ",
        ),
        ("apiVersion: mailcollector/v1\nkind: Policy\nhosts:\n", "3:7: hosts: "),
        (
            "apiVersion: mailcollector/v1\nkind: Policy\nkind: Policy\n",
            "3:1: `kind` stands here already",
        ),
        ("apiVersion: mailcollector/v1\nkind: MailCollector\n", "2:7: kind: "),
    ],
)
def test_a_policy_that_is_wrong_is_refused_with_its_place(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    with pytest.raises(PolicyRefused) as refused:
        policy_file.load(tmp_path / "policy.yaml")
    assert told in str(refused.value) or (
        text == "kind: Policy\n" and "apiVersion" in str(refused.value)
    )


def test_what_a_policy_leaves_out_is_not_allowed(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("apiVersion: mailcollector/v1\nkind: Policy\n")
    enforce(policy_file.load(tmp_path / "policy.yaml"))
    (tmp_path / "a.yaml").write_text(collector())
    assert sorted(one.rule for one in validate([tmp_path / "a.yaml"]) if one.is_error) == [
        "policy-host",
        "policy-secret-file",
    ]


@pytest.mark.parametrize("linked", [False, True])
def test_it_may_not_stand_where_manifests_are_written(
    linked: bool, strict: Allowed, tmp_path: Path
) -> None:
    below = tmp_path / "manifests" / "deep"
    below.mkdir()
    (tmp_path / "policy.yaml").rename(below / "policy.txt")
    place = below / "policy.txt"
    if linked:
        (tmp_path / "policy.yaml").symlink_to(below / "policy.txt")
        place = tmp_path / "policy.yaml"
    enforce(policy_file.load(place))
    for look in (
        lambda: validate([tmp_path / "manifests"]),
        lambda: ManifestDirectory(tmp_path / "manifests"),
    ):
        with pytest.raises(PolicyRefused, match="below the manifests' directory"):
            look()


def test_the_schema_is_that_of_the_model_and_takes_what_is_shipped() -> None:
    committed = (ROOT / "schemas" / "mailcollector-policy.v1.json").read_text("utf-8")
    assert committed == policy_file.schema(), "run `python -m reconciler.manifests.policy_file`"
    shipped = policy_file.load(ROOT / "deploy" / "policy.yaml")
    assert shipped.secret_files
    assert shipped.programs == ()
    Draft7Validator.check_schema(json.loads(committed))
