"""What goes wrong is told, hurts nobody else, and loses nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.endtoend.accounting import assert_adds_up
from tests.endtoend.deployment import Deployment, Tls
from tests.endtoend.test_collect import as_sent
from tests.servers.dovecot import Dovecot
from tests.servers.mail import corpus, small


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("mode", ["new-keep", "new-delete", "all-delete"])
def test_D13_kill_9_in_the_middle_of_a_session(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str, mode: str
) -> None:
    messages = corpus(400, seed=user)
    dovecot.deliver(user, messages)
    stored = as_sent(dovecot.messages(user), protocol)
    deployment.declare("sales", user, protocol=protocol, mode=mode, limit=0)
    with deployment.daemon() as daemon:
        daemon.until("some mail", lambda: any(deployment.maildir("sales").glob("tmp/*")))
        daemon.stop(signal.SIGKILL)
    deployment.once()
    deployment.once()
    assert deployment.mail("sales") == stored
    assert_adds_up(deployment.get()["sales"]["status"]["lastSession"])
    assert len(dovecot.messages(user)) == (400 if mode == "new-keep" else 0)
    assert list(deployment.maildir("sales").glob("tmp/*")) == []


def test_sigterm_ends_the_daemon_at_once_and_the_rest_comes_later(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, corpus(200, seed=user))
    deployment.declare("sales", user, limit=0)
    with deployment.daemon() as daemon:
        daemon.until("some mail", lambda: any(deployment.maildir("sales").glob("new/*")))
        assert daemon.stop() == 0  # within its patience, which no interval ends
    deployment.once()
    assert deployment.mail("sales") == sorted(dovecot.messages(user))


def test_one_dead_server_does_not_touch_the_others(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(3))
    deployment.declare("alive", user)
    path = deployment.declare("dead", user, tls="none")
    deployment.write("dead", path.read_text().replace(f"port: {dovecot.ports['imap']}", "port: 9"))
    deployment.once(code=1)
    shown = deployment.get()
    assert shown["alive"]["status"]["lastSession"]["collected"] == 3
    assert shown["dead"]["status"]["lastSession"]["error"]["reason"] == "ConnectionFailed"
    assert_adds_up(shown["dead"]["status"]["lastSession"])


@pytest.mark.parametrize(
    ("protocol", "tls"),
    [("imap", "implicit"), ("imap", "starttls"), ("pop3", "implicit"), ("pop3", "starttls")],
)
def test_T5_an_unknown_authority_is_refused_before_the_password_is_sent(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str, tls: Tls
) -> None:
    path = deployment.declare("sales", user, protocol=protocol, tls=tls)
    deployment.write("sales", path.read_text().replace(f"caFile: {dovecot.ca_file}", ""))
    deployment.once(code=1)
    error = deployment.get()["sales"]["status"]["lastSession"]["error"]
    assert error["reason"] == "TlsRefused"


def test_T6_a_pinned_certificate_needs_no_authority_and_another_one_is_refused(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(1))
    path = deployment.declare("sales", user)
    pinned = path.read_text().replace(
        f"caFile: {dovecot.ca_file}", f'fingerprint: "{dovecot.fingerprint}"'
    )
    deployment.write("sales", pinned)
    deployment.once()
    deployment.write("sales", pinned.replace(dovecot.fingerprint, "sha256:" + "ab" * 32))
    deployment.once(code=1)
    status = deployment.get()["sales"]["status"]
    assert (status["totals"]["collected"], status["lastSession"]["error"]["reason"]) == (
        1,
        "TlsRefused",
    )


def test_a_refused_password_stalls_the_collector_and_is_not_repeated(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    wrong = deployment.root / "wrong"
    wrong.write_text("not-the-password\n")
    deployment.declare("sales", user, secret=str(wrong), interval="5s")
    with deployment.daemon() as daemon:
        found = daemon.condition("sales", "Stalled", "True")
        assert {
            condition["type"]: condition["reason"] for condition in found["status"]["conditions"]
        }["Stalled"] == "AuthenticationFailed"
        refused = deployment.run("collect", "sales", "--wait", code=1)
        assert "next attempt" in refused.stderr
        assert deployment.get()["sales"]["status"]["totals"]["sessions"] == 1
        deployment.declare("sales", user)
        daemon.condition("sales", "Ready", "True")


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
def test_a_rotated_secret_lifts_the_stall(
    deployment: Deployment, dovecot: Dovecot, user: str, protocol: str
) -> None:
    secret = deployment.root / "rotated"
    secret.write_text("not-the-password\n")
    dovecot.deliver(user, small(1))
    deployment.declare("sales", user, protocol=protocol, secret="../rotated", interval="1h")
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Stalled", "True")
        secret.write_text(dovecot.password + "\n")
        deployment.declare(
            "other", user
        )  # any change wakes the daemon; without one it looks twice a minute
        daemon.condition("sales", "Ready", "True")
        assert deployment.get()["sales"]["status"]["totals"]["sessions"] == 2
    assert len(deployment.mail("sales")) == 1


def test_collect_asks_the_daemon_and_a_rotated_secret_is_seen_at_once(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    secret = deployment.root / "rotated"
    secret.write_text("not-the-password\n")
    deployment.declare("sales", user, secret=str(secret), interval="1h")
    with deployment.daemon() as daemon:
        daemon.condition("sales", "Stalled", "True")
        deployment.run("collect", "sales", "--wait", code=1)
        secret.write_text(dovecot.password + "\n")
        deployment.run("collect", "sales", "--wait")


def test_once_a_refused_login_is_not_repeated_before_the_secret_changes(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    secret = deployment.root / "rotated"
    deployment.declare("sales", user, secret=str(secret))
    deployment.once(code=1)
    assert (
        deployment.get()["sales"]["status"]["lastSession"]["error"]["reason"] == "SecretUnavailable"
    )
    secret.write_text("not-the-password\n")
    for sessions in (2, 2):
        deployment.once(code=1)
        assert deployment.get()["sales"]["status"]["totals"]["sessions"] == sessions
    secret.write_text(dovecot.password + "\n")
    deployment.run("collect", "sales", "--manifests", str(deployment.manifests))
    assert deployment.get()["sales"]["status"]["totals"]["sessions"] == 3


def test_S6_a_password_is_found_nowhere(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    canary = "canary-5f2e-пароль"
    (deployment.root / "canary").write_text(canary + "\n")
    dovecot.deliver(user, small(2))
    for protocol in ("imap", "pop3"):
        deployment.declare(
            f"wrong-{protocol}", user, protocol=protocol, secret=str(deployment.root / "canary")
        )
        deployment.declare(f"right-{protocol}", user, protocol=protocol)
    with deployment.daemon({"MAILCOLLECTOR_LOG_LEVEL": "debug"}) as daemon:
        for protocol in ("imap", "pop3"):
            daemon.condition(f"wrong-{protocol}", "Ready", "False")
            daemon.condition(f"right-{protocol}", "Ready", "True")
        said = [
            deployment.run(*verb.split(), code=None)
            for verb in (
                "get -o json",
                "get",
                "describe wrong-imap",
                "describe wrong-pop3 -o json",
                "check wrong-imap",
                "check wrong-pop3 -o json",
                "collect wrong-imap --wait --force",
                "collect wrong-pop3 --wait --force",
            )
        ]
        metrics = daemon.request("/metrics").text
        assert 'collector="wrong-imap"' in metrics
        arguments = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
        daemon.stop()
    texts = [done.stdout + done.stderr for done in said] + [
        deployment.log,
        arguments.decode(),
        metrics,
    ]
    kept = [path.read_bytes() for path in deployment.state.rglob("*") if path.is_file()]
    for secret in (canary, dovecot.password):
        assert not any(secret in text for text in texts)
        assert not any(secret.encode() in content for content in kept)


def test_R7_the_second_daemon_refuses(deployment: Deployment, dovecot: Dovecot, user: str) -> None:
    deployment.declare("sales", user)
    with deployment.daemon() as daemon:
        second = deployment.run("run", str(deployment.manifests), code=2)
        assert str(daemon.process.pid) in second.stderr


def test_Y17_a_directory_that_is_not_there_is_an_error(deployment: Deployment) -> None:
    deployment.run("run", str(deployment.root / "nowhere"), code=2)
    deployment.run("run", str(deployment.root / "nowhere"), "--once", code=2)


def test_run_once_fails_when_a_manifest_is_invalid_and_collects_the_others(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(1))
    deployment.declare("good", user)
    deployment.write(
        "bad", "apiVersion: mailcollector/v1\nkind: MailCollector\nmetadata: {name: bad}\n"
    )
    deployment.once(code=1)
    assert len(deployment.mail("good")) == 1


def test_an_inline_secret_works_when_allowed_and_is_kept_nowhere(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(1))
    path = deployment.declare("sales", user)
    deployment.write(
        "sales",
        path.read_text().replace(f"file: {deployment.secret}", f"value: {dovecot.password}"),
    )
    deployment.once(code=1)
    deployment.run("run", str(deployment.manifests), "--once", "--allow-inline-secrets")
    told = deployment.run("get", "-o", "json", "--allow-inline-secrets").stdout
    assert len(deployment.mail("sales")) == 1
    assert dovecot.password not in told
    assert not any(
        dovecot.password.encode() in path.read_bytes()
        for path in deployment.state.rglob("*")
        if path.is_file()
    )
    # without the option the manifest is invalid, and nothing of it is kept to run on
    cleared = deployment.run("clear", "sales", "--yes", "--manifests", str(deployment.manifests))
    assert cleared.stdout.startswith("sales: 1 message")


def test_D3_a_destination_that_cannot_be_written_keeps_the_mail_on_the_server(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(3))
    deployment.root.joinpath("mail").write_text("a file where a directory belongs")
    deployment.declare("sales", user, mode="all-delete")
    deployment.once(code=1)
    last = deployment.get()["sales"]["status"]["lastSession"]
    assert_adds_up(last)
    assert last["error"]["reason"] == "DestinationUnavailable"
    assert len(dovecot.messages(user)) == 3
    deployment.root.joinpath("mail").unlink()
    deployment.once()
    assert len(deployment.mail("sales")) == 3


def test_describe_tells_sessions_and_source(
    deployment: Deployment, dovecot: Dovecot, user: str
) -> None:
    dovecot.deliver(user, small(2))
    path = deployment.declare("sales", user)
    deployment.once()
    told = json.loads(
        deployment.run(
            "describe", "sales", "--manifests", str(deployment.manifests), "-o", "json"
        ).stdout
    )
    assert told["historySize"] == 2
    assert told["epoch"] == 1
    assert told["source"].startswith(str(path))
    assert [session["collected"] for session in told["sessions"]] == [2]
