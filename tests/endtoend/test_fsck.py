"""`mailcollector fsck` over what real sessions, and then accidents, have left."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.endtoend.deployment import Deployment
from tests.servers.dovecot import Dovecot
from tests.servers.mail import small


@pytest.fixture
def collected(deployment: Deployment, dovecot: Dovecot, user: str) -> Deployment:
    """Three messages in the Maildir of `sales`."""
    dovecot.deliver(user, small(3, seed=user))
    deployment.declare("sales", user, protocol="pop3", tls="none")
    deployment.once()
    return deployment


def fsck(deployment: Deployment, *options: str, code: int = 0) -> list[dict[str, Any]]:
    done = deployment.run(
        "fsck", "--manifests", str(deployment.manifests), "-o", "json", *options, code=code
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def rules(found: list[dict[str, Any]]) -> dict[str, int]:
    return {each["rule"]: each["count"] for each in found}


def files(deployment: Deployment, folder: str = "new") -> list[Path]:
    return sorted((deployment.maildir("sales") / folder).iterdir())


def age(path: Path) -> None:
    os.utime(path, (time.time() - 37 * 3600,) * 2)


def test_after_a_session_everything_is_in_order(collected: Deployment) -> None:
    assert fsck(collected) == []
    done = collected.run("fsck", "--manifests", str(collected.manifests))
    assert done.stdout == "in order\n"


def test_D7_what_a_crash_left_of_a_recorded_delivery_is_mended(collected: Deployment) -> None:
    for path in files(collected)[:2]:
        (collected.maildir("sales") / "tmp" / path.name).hardlink_to(path)

    assert rules(fsck(collected, code=1)) == {"tmp-recorded": 2}
    assert len(files(collected, "tmp")) == 2
    [mended] = fsck(collected, "--mend")
    assert (mended["mendable"], mended["mended"]) == (True, True)
    assert (files(collected, "tmp"), len(files(collected)), fsck(collected)) == ([], 3, [])


def test_D6_what_a_session_will_need_to_recognise_a_delivery_stays(collected: Deployment) -> None:
    new, tmp = files(collected)[0], collected.maildir("sales") / "tmp"
    (tmp / "0000000009.0123456789.mailcollector").hardlink_to(new)
    age(new)

    [found] = fsck(collected, "--mend")
    assert (found["rule"], found["severity"], found["mended"]) == ("tmp-unrecorded", "info", False)
    assert len(files(collected, "tmp")) == 1


def test_D7_old_files_that_were_never_delivered_are_mended_and_nobody_elses(
    collected: Deployment,
) -> None:
    tmp = collected.maildir("sales") / "tmp"
    for name in (
        "0000000001.00.mailcollector",
        "0000000002.00.mailcollector.again",
        "1700000000.M1P2.host",
    ):
        (tmp / name).write_bytes(b"left")
        age(tmp / name)
    (tmp / "0000000003.00.mailcollector").write_bytes(b"just now")

    assert rules(fsck(collected, code=1)) == {"tmp-stale": 2, "tmp-young": 1}
    fsck(collected, "--mend")
    assert [path.name for path in files(collected, "tmp")] == [
        "0000000003.00.mailcollector",
        "1700000000.M1P2.host",
    ]


def test_mail_that_a_program_has_read_or_filed_is_found(collected: Deployment) -> None:
    first, second, third = files(collected)
    box = collected.maildir("sales")
    (box / ".Archive.2026" / "cur").mkdir(parents=True)
    first.rename(box / "cur" / f"{first.name}:2,S")
    second.rename(box / ".Archive.2026" / "cur" / f"{second.name},S=300,W=310:2,RS")
    assert fsck(collected) == []

    third.unlink()
    [gone] = fsck(collected)
    assert (gone["rule"], gone["severity"], gone["subject"], gone["count"]) == (
        "mail-gone",
        "info",
        "sales",
        1,
    )
    assert gone["message"].startswith(f"delivered, and not in {box}: ")


def test_damaged_mail_is_an_error_that_cannot_be_mended(collected: Deployment) -> None:
    damaged = files(collected)[1]
    os.truncate(damaged, 7)

    done = collected.run("fsck", "--manifests", str(collected.manifests), "--mend", code=1)
    assert done.stdout.splitlines()[0].startswith(f"error: mail-damaged: {damaged}: has 7 octets, ")
    assert done.stdout.splitlines()[-1] == "1 to look at"


def test_a_history_that_nobody_declares_can_expire_and_comes_back_with_its_manifest(
    collected: Deployment, dovecot: Dovecot, user: str
) -> None:
    collected.declare("other", user, protocol="imap", tls="none")
    collected.once()
    manifest = (collected.manifests / "sales.yaml").read_text()
    collected.remove("sales")

    [orphan] = fsck(collected, code=1)
    assert (orphan["rule"], orphan["subject"]) == ("history-orphaned", "sales")
    fsck(collected, "--mend")
    assert fsck(collected) == []

    collected.write("sales", manifest)
    collected.once()
    assert len(files(collected)) == 3


def test_Y17_histories_of_everybody_are_not_let_go(collected: Deployment, user: str) -> None:
    collected.declare("other", user, protocol="imap", tls="none")
    collected.once()
    collected.remove("sales")
    collected.remove("other")

    assert fsck(collected, "--mend") == []  # the daemon would hold them


def test_R5_a_damaged_ledger_is_told_and_nothing_else_is_judged_by_it(
    collected: Deployment,
) -> None:
    with closing(sqlite3.connect(collected.state / "ledger.sqlite3")) as ledger, ledger:
        ledger.execute("INSERT INTO deliveries VALUES (4711, 'nobody', 'nothing', 0)")
    files(collected)[0].unlink()

    [damage] = fsck(collected, code=1)
    assert (damage["severity"], damage["rule"]) == ("error", "ledger-damaged")
    assert damage["message"] == "a row of deliveries refers to a row of messages that is not there"


def test_R5_a_file_that_is_no_ledger_cannot_be_looked_at(collected: Deployment) -> None:
    for path in collected.state.glob("ledger.sqlite3*"):
        path.write_bytes(b"not a database" * 1000)
    done = collected.run("fsck", "--manifests", str(collected.manifests), code=2)
    assert "is not a ledger, or is damaged" in done.stderr


def test_without_a_ledger_there_is_nothing_to_look_at(deployment: Deployment) -> None:
    done = deployment.run("fsck", "--manifests", str(deployment.manifests), code=2)
    assert "there is no ledger" in done.stderr
    assert not deployment.state.exists()


def test_R7_while_a_daemon_runs_it_does_not_look(collected: Deployment) -> None:
    with collected.daemon() as daemon:
        daemon.ready()
        done = collected.run("fsck", "--manifests", str(collected.manifests), code=2)
        assert "is in use by the process" in done.stderr
