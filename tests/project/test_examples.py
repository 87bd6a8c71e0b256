"""Each example of `examples/` is right, and does what its README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from demo.mailserver.server import SmallServer
from tests.project import ROOT

EXAMPLES = ROOT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
PROGRAM = Path(sys.executable).with_name("mailcollector")


def run(*arguments: object, cwd: Path, program: Path = PROGRAM) -> str:
    """Return what a command prints that must succeed."""
    done = subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def manifests(name: str, room: Path) -> Path:
    """Return the example's manifests: its directory, or the keys of its ConfigMap as files."""
    if (EXAMPLES / name / "collectors.d").is_dir():
        return EXAMPLES / name / "collectors.d"
    [config, *_] = YAML(typ="safe").load_all((EXAMPLES / name / "mailcollector.yaml").read_text())
    for key, text in config["data"].items():
        (room / key).write_text(text, encoding="utf-8")
    return room


def test_the_list_names_every_example() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(([^)/]+)/README\.md\)", text) == NAMES
    assert all((EXAMPLES / name / "README.md").exists() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_has_no_error_and_no_warning(name: str, tmp_path: Path) -> None:
    run("validate", "--strict", manifests(name, tmp_path), cwd=tmp_path)


def test_one_mailbox_is_collected(tmp_path: Path) -> None:
    with SmallServer() as server:
        server.deliver("shop@example.org", [b"Subject: one\n\nHello.\n"])
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "shop").write_text(server.password)
        (tmp_path / "collectors.d").mkdir()
        place = f"host: localhost\n    port: {server.ports['imaps']}\n    caFile: {server.ca_file}"
        for path in (EXAMPLES / "01-one-mailbox" / "collectors.d").iterdir():
            text = path.read_text(encoding="utf-8").replace("host: imap.example.org", place)
            (tmp_path / "collectors.d" / path.name).write_text(text, encoding="utf-8")
        run("check", "shop", cwd=tmp_path)
        run("run", "--once", cwd=tmp_path)
    delivered = list((tmp_path / "mail" / "office.example" / "shop" / "new").iterdir())
    assert [path.read_bytes() for path in delivered] == [b"Subject: one\n\nHello.\n"]


def test_a_template_fills_each_collector(tmp_path: Path) -> None:
    where = EXAMPLES / "02-many-with-a-template" / "collectors.d"
    shown = run("get", "-o", "json", "--manifests", where, cwd=tmp_path)
    for name in ("anna", "boris", "carla"):
        assert f"{name}@office.example" in shown


def test_a_message_for_an_alias_goes_to_its_mailbox(tmp_path: Path) -> None:
    example = EXAMPLES / "03-detect-recipients"
    where = ["--manifests", example / "collectors.d"]
    shown = run("route", "domain", example / "message.eml", *where, cwd=tmp_path)
    assert "anna@office.example" in shown


def test_compose_mounts_what_the_manifest_names() -> None:
    example = EXAMPLES / "06-docker-compose"
    [service] = YAML(typ="safe").load((example / "compose.yaml").read_text())["services"].values()
    manifest = (example / "collectors.d" / "shop.yaml").read_text(encoding="utf-8")
    assert [f"/run/secrets/{name}" in manifest for name in service["secrets"]] == [True]


def test_the_pod_mounts_every_volume() -> None:
    text = (EXAMPLES / "07-kubernetes" / "mailcollector.yaml").read_text()
    pod = list(YAML(typ="safe").load_all(text))[-1]["spec"]["template"]["spec"]
    mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_check_for_ci_passes_and_reports(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    run(report, cwd=tmp_path, program=EXAMPLES / "08-ci-check" / "check.sh")
    assert "<testsuite" in report.read_text(encoding="utf-8")
