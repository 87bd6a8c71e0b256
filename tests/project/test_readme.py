"""What the README promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.cli import VERBS
from tests.project import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CONSOLE = [text for language, text in BLOCKS if language == "console"]
PROGRAM = Path(sys.executable).with_name("mailcollector")


def test_the_two_set_up_commands_come_first() -> None:
    assert BLOCKS[0] == ("console", "$ make demo\n$ make test\n")


def test_a_newcomer_needs_no_other_command_before_them() -> None:
    before = README[: README.index("```")]
    assert re.findall(r"`([^`]*)`", before) == ["python3", "make", "git", "sudo"]


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_its_verbs_are_those_of_the_command() -> None:
    table = README[README.index("## Verbs") : README.index("`mailcollector VERB --help`")]
    told = [
        verb
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for verb in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(told) == sorted(VERBS)


def test_its_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE))
    told = set(re.findall(r"[`$] ?make (\w+)", README))
    assert {"demo", "test", "check", "fix"} <= told <= targets


def test_continuous_integration_runs_the_same_test_command() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.search(r"^make test\b", run, re.MULTILINE)
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_the_first_collector_is_valid(tmp_path: Path) -> None:
    manifest = next(
        text for language, text in BLOCKS if language == "yaml" and "kind: MailCollector" in text
    )
    (tmp_path / "collectors.d").mkdir()
    (tmp_path / "collectors.d" / "shop.yaml").write_text(manifest, encoding="utf-8")
    commands = [
        line[2:]
        for text in CONSOLE
        for line in text.splitlines()
        if line.startswith("$ mailcollector")
    ]
    assert commands == [
        "mailcollector init",
        "mailcollector add shop",
        "mailcollector run",
        "mailcollector validate collectors.d",
    ]
    arguments = commands[-1].split()[1:]
    done = subprocess.run(
        [PROGRAM, *arguments], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("part", ["build", "read_only", "volumes"])
def test_its_compose_file_says_what_the_image_needs(part: str) -> None:
    text = next(
        text for language, text in BLOCKS if language == "yaml" and text.startswith("services:")
    )
    assert part in YAML(typ="safe").load(text)["services"]["mailcollector"]
