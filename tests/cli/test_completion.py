"""What the shells complete: in bash itself, in zsh and fish as their scripts ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.control.manifests import save, text

PROGRAM = Path(sys.executable).with_name("mailcollector")


@pytest.fixture
def manifests(elsewhere: Path) -> Path:
    directory = elsewhere / "collectors.d"
    directory.mkdir()
    save(directory, "info")
    (directory / "sales.yaml").write_text(
        text("sales").replace("{name: sales}", "{name: sales, labels: {team: x, tier: y}}")
    )
    (directory / "broken.yaml").write_text("a: [")
    return elsewhere


def asked(shell: str, where: Path, *words: str) -> list[str]:
    """What the program answers the shell's script, whose last word is to be completed."""
    environment = {
        **os.environ,
        "_MAILCOLLECTOR_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(["mailcollector", *words]),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
    }
    return subprocess.run(
        [PROGRAM], cwd=where, env=environment, check=True, capture_output=True, text=True
    ).stdout.split("\n")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("val",), "validate"),
        (("describe", "s"), "sales"),
        (("get", "in"), "info"),
        (("collect", "sales", "i"), "info"),
        (("get", "-l", "team"), "team=x"),
        (("get", "-o", "wi"), "wide"),
        (("get", "--sort-by", "coll"), "collected"),
        (("explain", "tls-n"), "tls-none"),
        (("get", "--no-h"), "--no-headers"),
        (("init", "--ci", "gitl"), "gitlab"),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_words_are_completed(
    manifests: Path, shell: str, words: tuple[str, ...], found: str
) -> None:
    assert found in " ".join(asked(shell, manifests, *words)).replace(",", " ").split()


def test_bash_itself_completes(run: Run, manifests: Path) -> None:
    script = run("completion", "bash").stdout
    steps = "".join(
        f"COMP_WORDS=({words}); COMP_CWORD={count}; COMPREPLY=(); _mailcollector_completion "
        f"{PROGRAM}; "
        'echo "${COMPREPLY[@]}"\n'
        for words, count in (("mailcollector describe s", 2), ("mailcollector rou", 1))
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{script}\n{steps}"],
        cwd=manifests,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["sales", "route"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_scripts(run: Run, shell: str) -> None:
    assert f"{shell}_complete" in run("completion", shell).stdout


def test_nothing_is_completed_where_nothing_is(elsewhere: Path) -> None:
    assert "".join(asked("bash", elsewhere, "describe", "s")) == ""


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("stauts", "get"),
        ("status", "get"),
        ("list", "get"),
        ("ls", "get"),
        ("delete", "remove"),
        ("rm", "remove"),
        ("apply", "add"),
        ("versoin", "version"),
        ("desribe", "describe"),
        ("suspend", "disable"),
        ("reconcile", "collect"),
        ("diff", "plan"),
        ("validat", "validate"),
    ],
)
def test_verbs_of_other_programs_lead_to_ours(run: Run, word: str, meant: str) -> None:
    result = run(word)
    assert result.exit_code == 2
    assert f"did you mean {meant}?" in result.stderr


def test_the_version(run: Run) -> None:
    assert run("version").stdout == run("--version").stdout
