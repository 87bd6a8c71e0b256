"""add, edit, remove, enable, disable: real files, a real git, a daemon that is told."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.cli.verbs import edit
from reconciler.ledger import open_ledger
from reconciler.manifests import manifest_files
from reconciler.manifests.editing import git_commit
from reconciler.manifests.editing.atomic_files import ChangedMeanwhile, replace_file
from tests.cli.conftest import Run
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.samples import collector
from tests.cli.test_plan import remember
from tests.control.manifests import save, text

TWO = f"""\
# yaml-language-server: $schema=x
# Both of them.
---
{text("a")}  enabled: true   # on
# about b
---
{text("b", title='"B"  # quoted')}"""


@pytest.fixture
def root(elsewhere: Path) -> Path:
    directory = elsewhere / "collectors.d"
    directory.mkdir()
    return directory


@pytest.fixture
def both(root: Path) -> Path:
    path = root / "both.yaml"
    path.write_text(TWO, encoding="utf-8")
    return path


def git(directory: Path, *words: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", *identity, *words], cwd=directory, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(root: Path, both: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "T")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "t@example.org")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "begin")
    return root


def test_disable_and_enable_touch_one_line(run: Run, both: Path) -> None:
    result = run("disable", "a")
    assert (result.exit_code, result.stdout) == (
        0,
        f"Disable collector a: {Path('collectors.d/both.yaml')}\n",
    )
    assert both.read_text(encoding="utf-8") == TWO.replace(
        "enabled: true   # on", "enabled: false   # on"
    )

    assert run("enable", "a").exit_code == 0
    assert both.read_text(encoding="utf-8") == TWO


TEMPLATE = """\
apiVersion: mailcollector/v1
kind: Template
metadata: {name: office}
spec:
  enabled: false
  source: {protocol: imap, host: imap.example}
"""


def test_what_a_template_says_otherwise_is_said_by_the_collector_itself(
    run: Run, root: Path
) -> None:
    save(root, "office", TEMPLATE)
    given = ("--username", "me", "--password-env", "P", "--forward-to", "me@b.example")
    assert run("add", "sales", "--from", "office", *given).exit_code == 0
    added = (root / "sales.yaml").read_text(encoding="utf-8")
    assert (
        added
        == """\
# yaml-language-server: $schema=.mailcollector.v1.json
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {name: sales}
spec:
  from: office
  source:
    username: me
    password: {env: P}
  recipient: {forwardTo: me@b.example}
"""
    )
    assert run("enable", "sales").exit_code == 0
    assert (root / "sales.yaml").read_text(encoding="utf-8") == added + "  enabled: true\n"
    assert "did you mean `office`?" in run("add", "other", "--from", "ofice", *given).stderr
    assert run("edit", "sales", "--unset", "spec.from").exit_code == 1


def test_what_is_so_already_is_not_written(run: Run, both: Path) -> None:
    before = both.stat()
    assert run("enable", "b").stdout == "b: nothing to change\n"
    assert both.stat().st_ino == before.st_ino


def test_disable_adds_the_field_where_there_is_none(run: Run, both: Path) -> None:
    run("disable", "b")
    assert both.read_text(encoding="utf-8") == TWO + "  enabled: false\n"


@pytest.mark.parametrize("verb", ["enable", "disable", "edit", "remove"])
def test_unknown_names_are_told_with_the_nearest(run: Run, root: Path, verb: str) -> None:
    save(root, "sales")
    more = {"edit": ["--set", "spec.title=x"], "remove": ["--yes"]}.get(verb, [])
    result = run(verb, "salse", *more)
    assert (result.exit_code, result.stderr) == (
        1,
        "mailcollector: there is no collector 'salse': did you mean sales?\n",
    )


def test_fields_are_set_and_removed(run: Run, both: Path) -> None:
    result = run(
        "edit",
        "b",
        "--set",
        "spec.collect.interval=10m",
        "--set",
        "spec.source.folders=[INBOX, Sent]",
        "--unset",
        "spec.title",
        "--set",
        'metadata.labels["a.b"]=c',
    )
    assert result.exit_code == 0
    after = both.read_text(encoding="utf-8")
    first, second = after[: TWO.index("# about b")], after[TWO.index("# about b") :]
    assert first == TWO[: TWO.index("# about b")]
    assert "{interval: 10m}" in second
    assert "folders: [INBOX, Sent]}" in second
    assert "title" not in second
    assert "metadata: {name: b, labels: {a.b: c}}" in second


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("spec.collect.interval=10", "is a number"),
        ("spec.colect.limit=1", "did you mean `collect`"),
        ("metadata.name=c", "must stay the MailCollector b"),
        ("spec.destination=nowhere", "no Destination"),
        ("spec.title.x=1", "title is no mapping"),
    ],
)
def test_an_invalid_result_is_not_written(run: Run, both: Path, setting: str, why: str) -> None:
    result = run("edit", "b", "--set", setting)
    assert result.exit_code == 1
    assert why in result.stderr
    assert result.stderr.splitlines()[-1].startswith("mailcollector: ")
    assert both.read_text(encoding="utf-8") == TWO
    assert [path.name for path in both.parent.iterdir()] == ["both.yaml"]


def test_a_mistake_elsewhere_is_in_nobodys_way(run: Run, both: Path) -> None:
    both.write_text(TWO.replace("title:", "titel:"), encoding="utf-8")
    save(both.parent, "broken", text("broken").replace("host:", "hots:"))
    assert run("disable", "a").exit_code == 0
    assert run("disable", "b").exit_code == 1
    assert run("edit", "b", "--unset", "spec.titel").exit_code == 0


def test_mode_stays_and_a_link_stays_a_link(run: Run, both: Path, elsewhere: Path) -> None:
    target = elsewhere / "target.yaml"
    both.rename(target)
    target.chmod(0o640)
    both.symlink_to("../target.yaml")
    assert run("disable", "a").exit_code == 0
    assert both.is_symlink()
    assert (
        target.stat().st_mode & 0o777,
        "enabled: false" in target.read_text(encoding="utf-8"),
    ) == (0o640, True)


@pytest.mark.parametrize("privileged", [True, False])
def test_owner_and_mode_stay_as_far_as_they_may(
    both: Path, privileged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Giving a file to somebody clears some bits of its mode, so the mode is set after that."""
    os.chown(both, 4711, 4712)
    both.chmod(0o2640)

    def refused(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not privileged:
        monkeypatch.setattr(os, "fchown", refused)
    replace_file(both, manifest_files.read(both), b"new")
    found = both.stat()
    assert both.read_bytes() == b"new"
    assert found.st_mode & 0o7777 == 0o2640
    assert (found.st_uid, found.st_gid) == (
        (4711, 4712) if privileged else (os.geteuid(), os.getegid())
    )


def test_a_file_that_changes_meanwhile_is_left_alone(
    both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ChangedMeanwhile):
        replace_file(both, b"something else", b"new")
    assert both.read_text(encoding="utf-8") == TWO
    assert [path.name for path in both.parent.iterdir()] == ["both.yaml"]


def test_what_cannot_be_written_is_left_whole(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(both, manifest_files.read(both), b"new")
    assert both.read_text(encoding="utf-8") == TWO
    assert [path.name for path in both.parent.iterdir()] == ["both.yaml"]


def test_add_from_options(run: Run, root: Path) -> None:
    result = run(
        "add",
        "sales",
        "--protocol",
        "imap",
        "--host",
        "imap.почта.рф",
        "--username",
        "007",
        "--password-command",
        "pass show 'a b'",
        "--folder",
        "INBOX",
        "--folder",
        "Lists/*",
        "--interval",
        "1h",
        "--mode",
        "new-delete",
        "--detect-from",
        "почта.рф",
        "--detect-to",
        "икс.рф",
        "--title",
        "Отдел: продаж",
        "-l",
        "team=sales",
        "--disabled",
    )
    assert result.exit_code == 0
    assert (
        (root / "sales.yaml").read_text(encoding="utf-8")
        == """\
# yaml-language-server: $schema=.mailcollector.v1.json
apiVersion: mailcollector/v1
kind: MailCollector
metadata:
  name: sales
  labels: {team: sales}
spec:
  title: "Отдел: продаж"
  enabled: false
  source:
    protocol: imap
    host: imap.почта.рф
    username: "007"
    password: {command: [pass, show, a b]}
    folders: [INBOX, Lists/*]
  collect:
    mode: new-delete
    interval: 1h
  recipient:
    detect:
      from: [почта.рф]
      to: икс.рф
"""
    )
    assert run("validate").exit_code == 0


def test_add_of_a_provider_says_what_to_do_in_the_account(run: Run, root: Path) -> None:
    result = run(
        "add",
        "sales",
        "--provider",
        "yandex",
        "--username",
        "me@ya.ru",
        "--password-file",
        "s",
        "--forward-to",
        "a@b.example",
    )
    assert result.exit_code == 0
    assert "    provider: yandex\n    username: me@ya.ru\n" in (root / "sales.yaml").read_text(
        encoding="utf-8"
    )
    assert "Yandex: Make an app password for mail in Yandex ID" in result.stderr
    assert run("validate").exit_code == 0
    wrong = run("add", "info", "--provider", "gmial", "--username", "me")
    assert wrong.exit_code == 1
    assert "did you mean `gmail`?" in wrong.stderr


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("GMail", "gmail"),
        ("hotmail", "outlook"),
        ("me@web.de", "webde"),
        ("163.com", "netease"),
        ("Office 365", "microsoft365"),
        ("imap.yandex.ru", "yandex"),
        ("Proton Mail", "proton-bridge"),
    ],
)
def test_add_knows_a_provider_by_what_people_call_it(
    run: Run, root: Path, said: str, name: str
) -> None:
    assert (
        run(
            "add",
            "new",
            "--provider",
            said,
            "--username",
            "me",
            "--password-env",
            "P",
            "--forward-to",
            "a@b.example",
        ).exit_code
        == 0
    )
    assert f"provider: {name}\n" in (root / "new.yaml").read_text(encoding="utf-8")


def test_add_from_a_file_or_standard_input_as_it_stands(
    run: Run, root: Path, elsewhere: Path
) -> None:
    draft = "# mine\n" + text("sales")
    (elsewhere / "draft").write_text(draft, encoding="utf-8")
    assert run("add", "sales", "-f", "draft").exit_code == 0
    assert (root / "sales.yaml").read_text(encoding="utf-8") == draft
    assert run("add", "info", "-f", "-", input=text("info")).exit_code == 0
    assert (root / "info.yaml").read_text(encoding="utf-8") == text("info")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add", "a", "-f", "-"], "declared already, in collectors.d/both.yaml"),
        (["add", "c", "-f", "-"], "must stay the MailCollector c"),
        (["add", "c", "--protocol", "imap"], "`host` is missing"),
        (["add", "Not_A_Name", "--protocol", "imap"], "is no name"),
    ],
)
def test_add_refuses(run: Run, both: Path, arguments: list[str], why: str) -> None:
    result = run(*arguments, input=text("a").replace("name: a", "name: x"))
    assert result.exit_code == 1
    assert why in result.stderr
    assert [path.name for path in both.parent.iterdir()] == ["both.yaml"]
    assert run("add", "c", "-f", "-", "--host", "h", input="").exit_code == 2


def test_add_says_that_its_file_has_another_collector(run: Run, both: Path) -> None:
    result = run("add", "both", "-f", "-", input=text("both"))
    assert result.exit_code == 1
    assert "both.yaml exists already: take another name" in " ".join(result.stderr.split())
    assert both.read_text(encoding="utf-8") == TWO


def test_remove_takes_one_document_or_the_file(run: Run, both: Path) -> None:
    assert run("remove", "a").exit_code == 0  # who names it means it, and nobody can be asked
    rest = both.read_text(encoding="utf-8")
    assert rest == "# yaml-language-server: $schema=x\n# Both of them.\n---\n" + text(
        "b", title='"B"  # quoted'
    )
    assert run("validate").exit_code == 0
    assert run("remove", "b", "--yes").exit_code == 0
    assert not both.exists()


def test_remove_of_the_second_keeps_the_first_byte_for_byte(run: Run, both: Path) -> None:
    run("remove", "b", "--yes")
    assert both.read_text(encoding="utf-8") == TWO[: TWO.index("---\n", TWO.index("# about b"))]


def test_a_running_daemon_is_told_that_it_is_meant(
    run: Run, daemon: FakeDaemon, both: Path
) -> None:
    daemon.answers["POST /removed/a"] = (200, {})
    assert run("remove", "a", "--yes").exit_code == 0
    assert "POST /removed/a" in daemon.asked


def test_the_removal_of_a_held_collector_is_confirmed(
    run: Run, daemon: FakeDaemon, root: Path
) -> None:
    daemon.collectors = [collector("gone", reason="Held"), collector("other")]
    daemon.answers["POST /removed/gone"] = (200, {})
    assert run("remove", "gone").exit_code == 0
    assert "POST /removed/gone" in daemon.asked
    assert run("remove", "other").exit_code == 1
    assert "POST /removed/other" not in daemon.asked


def test_without_a_daemon_a_held_collector_is_not_held_any_more(run: Run, root: Path) -> None:
    for name in ("a", "b"):
        save(root, name)
    remember(root, "a", "b")
    for name in ("a", "b"):
        (root / f"{name}.yaml").unlink()
    assert run("remove", "a").exit_code == 0
    ledger = open_ledger("sqlite:///state/ledger.sqlite3")
    assert [good.name for good in ledger.last_good()] == ["b"]


def test_without_a_daemon_the_next_one_does_not_hold_it(run: Run, root: Path) -> None:
    for name in ("a", "b"):
        save(root, name)
    remember(root, "a", "b")
    assert run("remove", "a", "--yes").exit_code == 0
    (root / "b.yaml").unlink()
    ledger = open_ledger("sqlite:///state/ledger.sqlite3")
    assert [good.name for good in ledger.last_good()] == ["b"]
    assert set(ledger.histories()) == {"a", "b"}
    ledger.retire("a", datetime.now(UTC))
    ledger.close()
    assert run("plan", "-o", "name").stdout == "b\n"


def test_the_commit_holds_exactly_that_file(run: Run, repository: Path) -> None:
    save(repository, "other")
    git(repository, "add", "other.yaml")
    result = run("disable", "a", "--git-commit")
    assert result.exit_code == 0
    assert result.stdout.startswith("Disable collector a: collectors.d/both.yaml, commit ")
    assert git(repository, "log", "-1", "--format=%s", "--name-only").split("\n")[:3] == [
        "Disable collector a",
        "",
        "both.yaml",
    ]
    assert git(repository, "status", "--porcelain") == "A  other.yaml\n"


@pytest.mark.parametrize(
    "file", ["---\n---\n{}", "{}---\n", "{}---\n# nothing\n", "---\n{}...\n---\n"]
)
def test_D5_documents_without_content_stay_where_they_are(run: Run, root: Path, file: str) -> None:
    """They are valid (Y8), so the verbs that edit work beside them."""
    path = save(root, "lone", file.format(text("lone")))
    assert run("disable", "lone").exit_code == 0
    assert path.read_text(encoding="utf-8") == file.format(text("lone") + "  enabled: false\n")
    assert run("remove", "lone", "--yes").exit_code == 0
    assert not path.exists()


def test_added_and_removed_files_are_committed(run: Run, repository: Path) -> None:
    run("add", "c", "-f", "-", "--git-commit", input=text("c"))
    assert git(repository, "log", "-1", "--format=%s", "--name-status").split() == [
        "Add",
        "collector",
        "c",
        "A",
        "c.yaml",
    ]
    run("remove", "c", "--yes", "--git-commit")
    assert git(repository, "log", "-1", "--format=%s", "--name-status").split() == [
        "Remove",
        "collector",
        "c",
        "D",
        "c.yaml",
    ]


def test_other_changes_of_the_file_are_not_committed_along(run: Run, repository: Path) -> None:
    both = repository / "both.yaml"
    both.write_text(TWO + "# mine\n", encoding="utf-8")
    result = run("disable", "a", "--git-commit")
    assert (result.exit_code, both.read_text(encoding="utf-8")) == (1, TWO + "# mine\n")
    assert "not committed yet" in result.stderr


def hook(repository: Path, name: str, script: str) -> None:
    path = Path(git(repository, "rev-parse", "--git-path", f"hooks/{name}").strip())
    path = repository / path
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_B8_E11_hooks_of_git(
    run: Run, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hook leaves running is not waited for, and it is not told what is meant for us."""
    monkeypatch.setenv("MAILCOLLECTOR_STATE", "postgresql://u:hunter2@db.example/x")
    seen = tmp_path / "seen"
    hook(repository, "post-commit", f"env > {seen}; sleep 600 & echo $! > {tmp_path}/left")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another"))
    try:
        result = run("disable", "a", "--git-commit")
    finally:
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "hunter2" not in seen.read_text(encoding="utf-8")


def test_B8_a_hook_that_does_not_end_is_killed_with_what_it_started(
    run: Run, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(repository, "pre-commit", f"sleep 600 & echo $! > {tmp_path}/left; wait")
    monkeypatch.setattr(git_commit, "_LONGEST", 1)
    result = run("disable", "a", "--git-commit")
    assert result.exit_code == 1
    assert "git did not end within 1 seconds" in result.stderr
    left = int((tmp_path / "left").read_text())
    until = time.monotonic() + 30
    while Path(f"/proc/{left}/cmdline").exists() and Path(f"/proc/{left}/cmdline").read_bytes():
        assert time.monotonic() < until


def test_D_what_a_hook_says_in_any_encoding_is_told_harmlessly(run: Run, repository: Path) -> None:
    hook(repository, "pre-commit", "printf 'no\\377\\033[2J way' >&2; exit 1")
    result = run("disable", "a", "--git-commit")
    assert result.exit_code == 1
    assert "no\ufffd [2J way" in result.stderr


def test_without_git_nothing_is_written(
    run: Run, both: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(both.parents[2]))
    result = run("disable", "a", "--git-commit")
    assert (result.exit_code, both.read_text(encoding="utf-8")) == (1, TWO)
    assert "not a git repository" in result.stderr


class Editor:
    """A program that does, one after the other, what a test says; it keeps what it was shown."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        monkeypatch.setattr(edit, "_is_terminal", lambda: True)
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", f"sh {directory / 'editor'}")

    def does(self, *commands: str) -> None:
        cases = "".join(f"{number}) {command} ;;\n" for number, command in enumerate(commands, 1))
        (self.directory / "editor").write_text(
            f'cd {self.directory}; echo >> count; n=$(wc -l < count); cp "$1" shown.$n\n'
            f"case $(echo $n) in\n{cases}esac\n",
            encoding="utf-8",
        )

    def shown(self, number: int) -> str:
        return (self.directory / f"shown.{number}").read_text(encoding="utf-8")


@pytest.fixture
def editor(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    return Editor(elsewhere, monkeypatch)


def test_the_editor_opens_again_until_it_is_valid(run: Run, both: Path, editor: Editor) -> None:
    editor.does('sed -i s/title:/titel:/ "$1"', 'sed -i s/titel:/title:/\\;s/quoted/edited/ "$1"')
    result = run("edit", "b")
    assert (result.exit_code, result.stdout) == (0, "Change collector b: collectors.d/both.yaml\n")
    assert editor.shown(1) == "---\n" + text("b", title='"B"  # quoted')
    assert editor.shown(2).startswith(
        "#! spec.titel: `titel` is no field of spec: did you mean `title`?\n#! "
    )
    assert both.read_text(encoding="utf-8") == TWO.replace("quoted", "edited")


def test_leaving_the_editor_as_it_is_changes_nothing(run: Run, both: Path, editor: Editor) -> None:
    editor.does("true", 'sed -i s/title:/titel:/ "$1"', "true")
    assert run("edit", "b").exit_code == 0
    assert run("edit", "b").exit_code == 1
    assert both.read_text(encoding="utf-8") == TWO


def test_an_editor_that_fails_is_told(
    run: Run, both: Path, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor.does("exit 3")
    assert "ended with exit code 3" in run("edit", "b").stderr
    monkeypatch.setenv("EDITOR", os.fspath(both.parent / "nowhere"))
    assert "cannot be started" in run("edit", "b").stderr


@pytest.mark.parametrize(
    ("commands", "kept"),
    [
        (
            ['sed -i s/quoted/edited/ "$1"; echo other >> collectors.d/both.yaml'],
            "edited",
        ),  # changed meanwhile, and invalid
        (
            ['sed -i s/quoted/edited/ "$1"; sed -i s/quoted/other/ collectors.d/both.yaml'],
            "edited",
        ),  # changed meanwhile
        (['sed -i s/title:/titel:/ "$1"', "true"], "titel"),  # given up
        (['sed -i s/title:/titel:/ "$1"', "exit 3"], "titel"),  # the second editor fails
        (['sed -i s/quoted/edited/ "$1"; exit 3'], "edited"),  # it saved, and fails
        (['sed -i s/quoted/edited/ "$1"; rm -r collectors.d'], "edited"),
        ([r'printf "caf\\351: x\n" >> "$1"', "true"], "caf"),
    ],
)
def test_what_somebody_typed_is_never_lost(
    commands: list[str],
    kept: str,
    run: Run,
    both: Path,
    editor: Editor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = tmp_path / "kept"
    where.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(where))
    editor.does(*commands)
    result = run("edit", "b")
    assert result.exit_code == 1
    (file,) = where.iterdir()
    assert str(file) in result.stderr
    assert kept in file.read_text("utf-8", errors="surrogateescape")
    assert "#!" not in file.read_text("utf-8", errors="surrogateescape")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("commands", [["true"], ['sed -i s/title:/titel:/ "$1"', "false"]])
def test_what_somebody_else_changed_meanwhile_is_not_undone(
    commands: list[str], run: Run, both: Path, editor: Editor
) -> None:
    fixed = r'sed -i s/titel:/title:/\;s/quoted/edited/ "$1"'
    first = commands[0] + "; sed -i s/quoted/other/ collectors.d/both.yaml"
    editor.does(*([first, fixed] if len(commands) > 1 else [f"{fixed}; {first}"]))
    result = run("edit", "b")
    assert result.exit_code == 1
    assert "was changed while the editor was open" in result.stderr
    assert both.read_text(encoding="utf-8") == TWO.replace("quoted", "other")


def test_what_somebody_else_changed_meanwhile_in_another_document_stays(
    run: Run, both: Path, editor: Editor
) -> None:
    editor.does("sed -i 's/# on/# still/' collectors.d/both.yaml; sed -i s/quoted/edited/ \"$1\"")
    assert run("edit", "b").exit_code == 0
    assert both.read_text(encoding="utf-8") == TWO.replace("# on", "# still").replace(
        "quoted", "edited"
    )


def test_nothing_is_kept_of_what_was_written_or_not_changed(
    run: Run, both: Path, editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "kept"
    where.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(where))
    editor.does("true", 'sed -i s/quoted/edited/ "$1"')
    assert run("edit", "b").exit_code == 0
    assert run("edit", "b").exit_code == 0
    assert list(where.iterdir()) == []


def test_without_a_terminal_fields_must_be_named(run: Run, both: Path) -> None:
    result = run("edit", "b")
    assert result.exit_code == 2
    assert "--set" in result.stderr
