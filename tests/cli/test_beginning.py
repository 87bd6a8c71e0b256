"""From an empty directory to collectors: init, add, and what add asks on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from reconciler.manifests.schema_export import json_schema
from reconciler.manifests.validation import validate
from tests.cli.conftest import Run
from tests.control.manifests import save, text

MAIN = "from reconciler.cli import main; main()"
GIVEN = (
    "--protocol",
    "imap",
    "--host",
    "imap.example.org",
    "--username",
    "me",
    "--forward-to",
    "a@b.example",
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_init_makes_what_there_is_to_be_and_keeps_what_exists(run: Run, elsewhere: Path) -> None:
    (elsewhere / "new").mkdir()
    (elsewhere / "new" / ".gitignore").write_text("*.o\nstate/")

    assert run("init", "new").exit_code == 0

    assert (elsewhere / "new" / ".gitignore").read_text() == "*.o\nstate/\n/secrets/\n"
    assert mode(elsewhere / "new" / "secrets") == 0o700
    assert (elsewhere / "new" / "secrets" / ".gitignore").read_text() == "*\n"
    assert (elsewhere / "new" / "schemas" / json_schema.FILE).read_text(
        "utf-8"
    ) == json_schema.text()
    settings = json.loads((elsewhere / "new" / ".vscode" / "settings.json").read_text())
    assert (elsewhere / "new" / next(iter(settings["yaml.schemas"]))).is_file()
    workflow = YAML(typ="safe").load(
        elsewhere / "new" / ".github" / "workflows" / "collectors.yaml"
    )
    assert "mailcollector validate collectors.d" in workflow["jobs"]["validate"]["steps"][-1]["run"]
    assert validate([elsewhere / "new" / "collectors.d"]).diagnostics == ()

    again = run("init", "new")
    assert again.exit_code == 0
    assert "made  " not in again.stdout


def test_init_for_gitlab_or_for_no_ci(run: Run, elsewhere: Path) -> None:
    assert run("init", "a", "--ci", "none").exit_code == 0
    assert not (elsewhere / "a" / ".github").exists()
    assert run("init", "b", "--ci", "gitlab").exit_code == 0
    assert "validate collectors" in YAML(typ="safe").load(elsewhere / "b" / ".gitlab-ci.yml")


def test_what_cannot_be_written_is_said(run: Run, elsewhere: Path) -> None:
    (elsewhere / "collectors.d").write_text("a file")
    result = run("init")
    assert result.exit_code == 1
    assert "collectors.d" in result.stderr


def test_add_after_init_names_the_schema_there(run: Run, elsewhere: Path) -> None:
    assert run("init").exit_code == 0
    assert (
        run(
            "add", "sales", *GIVEN, "--password-env", "P", "-l", "team=x,env=y", "-l", "a=b"
        ).exit_code
        == 0
    )

    written = (elsewhere / "collectors.d" / "sales.yaml").read_text()
    assert written.startswith("# yaml-language-server: $schema=../schemas/mailcollector.v1.json\n")
    assert YAML(typ="safe").load(written)["metadata"]["labels"] == {
        "team": "x",
        "env": "y",
        "a": "b",
    }


def test_add_makes_the_directory_and_leaves_none_where_it_is_refused(
    run: Run, elsewhere: Path
) -> None:
    refused = run("add", "sales", *GIVEN, "--interval", "5")
    assert refused.exit_code == 1
    assert list(elsewhere.iterdir()) == []

    assert (
        run("add", "sales", *GIVEN, "--password-env", "P", "--manifests", "deep/er").exit_code == 0
    )
    assert sorted(path.name for path in (elsewhere / "deep" / "er").iterdir()) == [
        ".mailcollector.v1.json",
        "sales.yaml",
    ]


def test_a_password_from_standard_input_is_kept_for_its_owner_alone(
    run: Run, elsewhere: Path
) -> None:
    result = run("add", "sales", *GIVEN, "--password-stdin", input="hunter2\n")

    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert (elsewhere / "secrets" / "sales").read_text() == "hunter2\n"
    assert (mode(elsewhere / "secrets" / "sales"), mode(elsewhere / "secrets")) == (0o600, 0o700)
    assert (
        "password: {file: ../secrets/sales}"
        in (elsewhere / "collectors.d" / "sales.yaml").read_text()
    )
    assert run("add", "sales", *GIVEN, "--password-stdin", input="\n").exit_code == 2
    assert (
        run("add", "b", *GIVEN, "--password-stdin", "--password-env", "P", input="x\n").exit_code
        == 2
    )


def test_no_secret_is_overwritten_or_left_behind(run: Run, elsewhere: Path) -> None:
    assert (
        run(
            "add", "bad", *GIVEN, "--interval", "5", "--password-stdin", input="hunter2\n"
        ).exit_code
        == 1
    )
    assert not (elsewhere / "secrets" / "bad").exists()

    (elsewhere / "secrets" / "sales").write_text("theirs")
    refused = run("add", "sales", *GIVEN, "--password-stdin", input="hunter2\n")
    assert refused.exit_code == 1
    assert "--password-file" in refused.stderr
    assert (elsewhere / "secrets" / "sales").read_text() == "theirs"


def converse(directory: Path, *arguments: str, answers: list[tuple[str, str]]) -> str:
    """What a person sees in a terminal, who answers what is asked."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=directory,
        start_new_session=True,
    ) as process:
        os.close(follower)
        seen, at = "", 0
        for question, answer in answers:
            while question not in seen[at:]:
                assert select.select([leader], [], [], 60)[0], seen
                seen += os.read(leader, 4096).decode()
            at = len(seen)
            os.write(leader, f"{answer}\n".encode())
        while True:
            try:
                read = os.read(leader, 4096)
            except OSError:  # nobody has the other end any more
                break
            seen += read.decode()
            if not read:
                break
        assert process.wait(60) == 0, seen
    os.close(leader)
    return seen


def test_add_asks_on_a_terminal_and_does_not_show_the_password(elsewhere: Path) -> None:
    seen = converse(
        elsewhere,
        "add",
        "sales",
        answers=[
            ("Protocol", "pop3"),
            ("Server", "pop.example.org"),
            ("User name", "me@example.org"),
            ("Password", "hunter2"),
            ("mailbox [me@example.org]", ""),
        ],
    )

    assert "hunter2" not in seen
    assert (elsewhere / "secrets" / "sales").read_text() == "hunter2\n"
    assert mode(elsewhere / "secrets" / "sales") == 0o600
    spec = YAML(typ="safe").load(elsewhere / "collectors.d" / "sales.yaml")["spec"]
    assert spec == {
        "source": {
            "protocol": "pop3",
            "host": "pop.example.org",
            "username": "me@example.org",
            "password": {"file": "../secrets/sales"},
        },
        "recipient": {"forwardTo": "me@example.org"},
    }


def test_add_asks_only_for_what_was_not_given(elsewhere: Path) -> None:
    seen = converse(
        elsewhere,
        "add",
        "sales",
        "--host",
        "h.example",
        "--protocol",
        "imap",
        "--password-env",
        "P",
        "--forward-to",
        "a@b.example",
        answers=[("User name", "me")],
    )

    assert "Server" not in seen
    assert not (elsewhere / "secrets").exists()


def test_without_a_terminal_nothing_is_asked(run: Run) -> None:
    result = run("add", "sales", input="imap\n")
    assert result.exit_code == 1
    assert "is missing" in result.stderr


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_get_prints_can_be_added_elsewhere(run: Run, elsewhere: Path, form: str) -> None:
    (elsewhere / "collectors.d").mkdir()
    for name in ("sales", "info"):
        save(elsewhere / "collectors.d", name)
    every = run("get", "-o", form).stdout
    assert run("add", "-f", "-", "--manifests", "copy", input=every).exit_code == 0
    added = YAML(typ="safe").load(elsewhere / "copy" / "sales.yaml")
    shown = next(one for one in json.loads(run("get", "sales", "-o", "json").stdout))
    assert (added["metadata"]["name"], added["spec"]) == ("sales", shown["spec"])
    assert "status" not in added

    one = run("get", "info", "-o", form).stdout
    assert run("add", "info", "-f", "-", "--manifests", "one", input=one).exit_code == 0
    assert run("add", "other", "-f", "-", "--manifests", "one", input=one).exit_code == 1


def test_the_name_stands_in_the_manifest(run: Run, elsewhere: Path) -> None:
    save(elsewhere, "draft")
    (elsewhere / "draft.yaml").write_text(text("sales"))
    assert run("add", "-f", "draft.yaml").exit_code == 0
    assert (elsewhere / "collectors.d" / "sales.yaml").read_text() == text("sales")
    for content in ("", "[]", "a: b", "- 1", text("a") + "---\n" + text("b")):
        (elsewhere / "draft.yaml").write_text(content)
        assert run("add", "-f", "draft.yaml").exit_code == 1
    assert run("add").exit_code == 2
