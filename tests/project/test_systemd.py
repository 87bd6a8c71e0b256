"""The unit in deploy/systemd, by systemd's own programs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.manifests.policy_file import load
from tests.project import ROOT

DEPLOYED = ROOT / "deploy" / "systemd"
UNIT = (DEPLOYED / "mailcollector.service").read_text(encoding="utf-8")


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """With the program where it is here."""
    copy = tmp_path / "mailcollector.service"
    copy.write_text(
        UNIT.replace(
            "/usr/local/bin/mailcollector", str(Path(sys.executable).with_name("mailcollector"))
        )
    )
    return copy


def setting(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def test_systemd_finds_nothing_wrong_with_it(unit: Path) -> None:
    done = ran("systemd-analyze", "verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_word_that_systemd_does_not_know_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in ran("systemd-analyze", "verify", "--man=no", unit).stderr


def test_it_is_exposed_little(unit: Path) -> None:
    """Below 2.0 of 10."""
    done = ran("systemd-analyze", "security", "--offline=yes", "--threshold=19", unit)
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for mailcollector.service: ([\d.]+)", done.stdout)
    assert found
    assert float(found[1]) < 2.0


def test_the_user_and_the_directories_are_made(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    made = ran("systemd-sysusers", f"--root={root}", DEPLOYED / "mailcollector.sysusers.conf")
    assert made.returncode == 0, made.stderr
    user = next(
        line.split(":")
        for line in (root / "etc" / "passwd").read_text().splitlines()
        if line.startswith("mailcollector:")
    )
    assert (user[0], user[5], user[6]) == (
        setting("User")[0],
        "/var/lib/mailcollector",
        "/usr/sbin/nologin",
    )
    made = ran(
        "systemd-tmpfiles", "--create", f"--root={root}", DEPLOYED / "mailcollector.tmpfiles.conf"
    )
    assert made.returncode == 0, made.stderr
    manifests, kept = root / "etc/mailcollector/collectors.d", root / "etc/mailcollector/secrets"
    assert (manifests.stat().st_mode & 0o777, manifests.stat().st_gid) == (0o750, int(user[3]))
    assert (kept.stat().st_mode & 0o777, kept.stat().st_uid) == (0o700, 0)


def test_it_tells_systemd_more_often_than_systemd_waits() -> None:
    from reconciler.control.service_views import SILENCE  # noqa: PLC0415  # the whole of the daemon

    assert setting("Type") == ["notify"]
    assert setting("WatchdogSec") == ["2min"]
    assert SILENCE < 120


def test_where_it_puts_things_is_what_the_policy_allows() -> None:
    policy = load(ROOT / "deploy" / "policy.yaml")
    assert policy.secret_files is not None
    assert policy.maildirs is not None
    assert "/run/credentials" in map(str, policy.secret_files)
    maildirs = set(map(str, policy.maildirs))
    writable = {path.removeprefix("-") for path in setting("ReadWritePaths")[0].split()}
    assert maildirs - writable == {"/var/lib/mailcollector/mail"}
    assert writable <= maildirs
