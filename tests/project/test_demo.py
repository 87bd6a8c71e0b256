"""`make demo` does what it says, ends, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.dovecot import PASSWORD

ACCOUNTS = {"info": 25, "orders": 50, "sales": 60, "support": 35}


def start(checkout: Path, *options: str) -> subprocess.Popen[str]:
    # The copy's code, not that of the checkout that the environment was made from.
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "demo", *options],
        cwd=checkout,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def left_running(checkout: Path) -> list[str]:
    """The command lines of processes that work in the checkout."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(checkout):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def changed(checkout: Path) -> str:
    return subprocess.run(
        ["git", "status", "--short"], cwd=checkout, check=True, capture_output=True, text=True
    ).stdout


def asked(checkout: Path) -> dict[str, Any]:
    """The collectors by name, as `get -o json` tells them; empty before the daemon answers."""
    program = Path(sys.executable).with_name("mailcollector")
    where = ["--state-dir", ".demo/state", "--manifests", ".demo/collectors.d"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    got = subprocess.run(
        [program, "get", "-o", "json", *where],
        cwd=checkout,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    return (
        {each["metadata"]["name"]: each for each in json.loads(got.stdout)}
        if got.returncode == 0
        else {}
    )


def until(condition: Callable[[], bool], demo: subprocess.Popen[str], patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert demo.poll() is None, demo.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("server", [[], ["--small"]], ids=["dovecot", "small"])
def test_once_every_message_arrives_and_the_demo_ends(checkout: Path, server: list[str]) -> None:
    demo = start(checkout, "--once", *server)
    told, _ = demo.communicate(timeout=100)
    assert demo.returncode == 0, told
    for name, count in ACCOUNTS.items():
        assert (
            f"{count} messages, every byte as sent, in .demo/mail/office.example/{name}/new" in told
        )
    assert PASSWORD not in told
    assert "http://" not in told
    assert ("small mail server in Python" in told) == bool(server)
    assert changed(checkout) == ""
    assert left_running(checkout) == []


def test_once_fails_when_a_message_is_missing(checkout: Path) -> None:
    manifest = checkout / "demo" / "manifests" / "orders.yaml"
    manifest.write_text(
        manifest.read_text().replace("mode: all-delete", "mode: all-delete\n    limit: 49")
    )
    demo = start(checkout, "--once")
    told, _ = demo.communicate(timeout=100)
    assert demo.returncode == 1
    assert "demo: orders: 1 of 50 messages did not arrive as they were sent" in told


def link(demo: subprocess.Popen[str]) -> str:
    """The address of the page that the demo prints, with the secret that logs in once."""
    assert demo.stdout is not None
    for line in demo.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+/login/\S+", line):
            return found[0]
    raise AssertionError("it prints no link")


def test_the_link_that_it_prints_shows_the_page_once(checkout: Path) -> None:
    demo = start(checkout, "--small")
    try:
        address = link(demo)
        page = address.partition("/login/")[0]
        until(lambda: httpx.get(f"{page}/readyz", timeout=60).is_success, demo)
        html = {"Accept": "text/html"}
        with httpx.Client(headers=html, follow_redirects=True, timeout=60) as browser:
            shown = browser.get(address)
            assert shown.status_code == 200
            assert all(f'href="/collectors/{name}"' in shown.text for name in ACCOUNTS)
            assert "/collectors/sales/edit" in shown.text
        assert httpx.get(address, headers=html, timeout=60).status_code == 403
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=60)
    finally:
        demo.kill()
        demo.communicate()
    assert demo.returncode == 0
    assert left_running(checkout) == []


@pytest.mark.parametrize(("ending", "server"), [(signal.SIGINT, []), (signal.SIGTERM, ["--small"])])
def test_watched_it_follows_an_edit_and_ends_cleanly(
    checkout: Path, ending: signal.Signals, server: list[str]
) -> None:
    demo = start(checkout, *server)
    try:
        mail = checkout / ".demo" / "mail" / "office.example"
        until(
            lambda: all(
                len(list(mail.glob(f"{name}/new/*"))) >= count for name, count in ACCOUNTS.items()
            ),
            demo,
        )
        loops = {name: shown["status"]["loopStartedAt"] for name, shown in asked(checkout).items()}
        assert loops.keys() == ACCOUNTS.keys()
        manifest = checkout / ".demo" / "collectors.d" / "sales.yaml"
        manifest.write_text(manifest.read_text().replace("enabled: true", "enabled: false"))
        until(lambda: asked(checkout)["sales"]["status"]["observedGeneration"] == 2, demo)
        now = {name: shown["status"]["loopStartedAt"] for name, shown in asked(checkout).items()}
        assert {name for name in loops if now[name] != loops[name]} == {"sales"}
        demo.send_signal(ending)
        told, _ = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 0, told
    assert ".demo/collectors.d/sales.yaml" in told
    assert changed(checkout) == ""
    assert left_running(checkout) == []
