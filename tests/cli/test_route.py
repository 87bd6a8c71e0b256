"""`mailcollector route`."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.mail.headers import HEAD
from tests.cli.conftest import Run
from tests.cli.fake_app import ROUTING, FakeApp

LETTER = "To: раз@почта.рф\n\nbody\n"


def test_route_as_it_is_printed(run: Run, app: FakeApp, tmp_path: Path) -> None:
    (tmp_path / "letter.eml").write_text(LETTER)

    assert (
        run("route", "sales", "letter.eml").stdout
        == """\
sales: the message would be delivered (smtputf8-missing)
  RECIPIENT    TIER          HEADER        LINE  RULE
  раз@икс.рф   delivered-to  Delivered-To  12    mailboxes
  info@икс.рф  default       -             -     default
Considered:
  HEADER        LINE  ADDRESS            VERDICT
  Delivered-To  12    РАЗ@почта.рф       recipient
  Delivered-To  12    a\\u202eb@почта.рф  no-address
"""
    )
    assert app.routed == [LETTER.encode()]


def test_route_for_programs_and_from_standard_input(run: Run, app: FakeApp) -> None:
    assert json.loads(run("route", "sales", "-", "-o", "json", input=LETTER).stdout) == json.loads(
        json.dumps(ROUTING.declared())
    )
    assert (
        run("route", "sales", "-", "-o", "name", input=LETTER).stdout == "раз@икс.рф\ninfo@икс.рф\n"
    )
    assert "verdict: recipient" in run("route", "sales", "-", "-o", "yaml", input=LETTER).stdout
    assert app.routed == [LETTER.encode()] * 3


def test_M4_route_reads_no_more_than_it_looks_at(run: Run, app: FakeApp, tmp_path: Path) -> None:
    (tmp_path / "big.eml").write_bytes(b"x" * (HEAD + 1))

    assert run("route", "sales", "big.eml").exit_code == 0
    assert len(app.routed[0]) == HEAD


def test_route_of_nobody_and_of_nothing(run: Run, app: FakeApp) -> None:
    result = run("route", "sale", "-", input=LETTER)
    assert (result.exit_code, app.routed) == (1, [])
    assert "sales" in result.stderr

    result = run("route", "sales", "absent.eml")
    assert (result.exit_code, result.stderr) == (
        1,
        "mailcollector: absent.eml: No such file or directory\n",
    )
