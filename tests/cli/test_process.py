"""The command as a process of its own: what it imports, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import VERBS
from tests.cli.fake_daemon import FakeDaemon
from tests.cli.samples import collector

MAIN = "from reconciler.cli import main; main()"
SLOW = (
    "pydantic",
    "sqlalchemy",
    "rich",
    "jsonschema",
    "httpx",
    "ruamel",
    "starlette",
    "asyncio",
    "reconciler.manifests.policy_file",
)
IMPORTED = f"""
import sys
from reconciler.cli import main
try:
    main()
finally:
    print(sorted(set(sys.modules) & set({SLOW!r})), file=sys.stderr)
"""


def ran(
    *arguments: str, program: str = MAIN, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)]
)
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    result = ran(*arguments, program=IMPORTED)

    assert (result.returncode, result.stderr) == (0, "[]\n")


def test_schema_imports_nothing_slow() -> None:
    assert ran("schema", program=IMPORTED).stderr == "[]\n"


def test_run_once_imports_nothing_that_it_does_not_need(elsewhere: Path) -> None:
    (elsewhere / "collectors.d").mkdir()

    result = ran("run", "--once", "--log-level", "warning", program=IMPORTED)

    assert result.returncode == 0
    assert result.stderr == "['asyncio', 'pydantic', 'ruamel', 'sqlalchemy']\n"


def test_exit_codes(daemon: FakeDaemon) -> None:
    assert ran("get").returncode == 0
    assert ran("get", "nobody").returncode == 1
    assert ran("get", "--nonsense").returncode == 2


def test_nothing_but_the_objects_on_standard_output(daemon: FakeDaemon) -> None:
    result = ran("get", "sales", "nobody", "-o", "json")

    assert [one["metadata"]["name"] for one in json.loads(result.stdout)] == ["sales"]
    assert result.stderr == "mailcollector: there is no collector 'nobody'\n"


def test_terminal_of_another_script_is_no_error(daemon: FakeDaemon) -> None:
    result = ran("get", PYTHONIOENCODING="latin-1:strict")

    assert result.returncode == 0
    assert "\\u043f" in result.stdout


def test_reader_that_goes_away_is_no_traceback(daemon: FakeDaemon, elsewhere: Path) -> None:
    daemon.collectors = [
        collector(f"c{number}") for number in range(2000)
    ]  # more than a pipe holds

    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "get"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("closed", [(2,), (1, 2), (0, 1, 2)])
def test_closed_standard_streams_are_as_good_as_dev_null(
    elsewhere: Path, closed: tuple[int, ...]
) -> None:
    """The ledger, or a connection, must not become standard output."""
    (elsewhere / "collectors.d").mkdir()

    def close() -> None:
        for number in closed:
            os.close(number)

    done = subprocess.run(
        [sys.executable, "-c", MAIN, "run", "collectors.d", "--once"],
        check=False,
        cwd=elsewhere,
        preexec_fn=close,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )  # a shell's `>&-`

    assert done.returncode == 0
    assert (elsewhere / "state" / "ledger.sqlite3").exists()


def test_watch_ends_with_ctrl_c(daemon: FakeDaemon) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "get", "--watch", "-o", "name"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"sales\n"
        daemon.collectors = daemon.collectors[1:]
        assert [process.stdout.readline() for _ in range(2)] == [b"info\n", b"info\n"]
        process.send_signal(signal.SIGINT)
        assert (process.wait(60), process.stderr.read()) == (0, b"")


def in_a_shell(*lines: str) -> list[tuple[str, int]]:
    """What each line of a shell, in which `m` is the command, said on either stream, and its exit
    code."""
    found = []
    for line in lines:
        script = f'm() {{ "$PYTHON" -c "$MAIN" "$@"; }}; {line}'
        done = subprocess.run(
            ["bash", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHON": sys.executable, "MAIN": MAIN},
        )
        found.append((done.stdout, done.returncode))
    return found


def test_results_that_cannot_be_written_are_an_error_in_one_line() -> None:
    full, closed = (
        "mailcollector: No space left on device\n",
        "mailcollector: Bad file descriptor\n",
    )
    assert (
        in_a_shell("m --help >/dev/full", "m get -h >/dev/full", "m version >/dev/full")
        == [(full, 1)] * 3
    )
    assert in_a_shell("m --help >&-", "m get -h >&-", "m version >&-") == [(closed, 1)] * 3


def test_what_is_told_beside_the_result_may_go_nowhere(elsewhere: Path) -> None:
    (elsewhere / "collectors.d").mkdir()
    listed, *rest = in_a_shell(
        "m get -o json", "m get -o json 2>/dev/full", "m get -o json 2>&-", "m get -o json <&-"
    )
    assert listed[1] == 0
    assert "no daemon runs" in listed[0]
    assert [(text[-3:], code) for text, code in rest] == [("[]\n", 0)] * 3
    [(text, code)] = in_a_shell("m add x <&-")
    assert code == 1
    assert "\nadd needs --protocol, --host, --username, a password (--password-file, " in text
    assert text.endswith("\nmailcollector: nothing was written: the result would be invalid\n")


def test_no_file_of_ours_takes_the_number_of_a_stream_that_was_closed() -> None:
    program = (
        "import os; from reconciler import cli; cli._occupy_standard_streams(); "
        "os.write(3, repr([os.readlink(f'/proc/self/fd/{number}') for number in "
        "range(3)]).encode())"
    )
    read, write = os.pipe()
    with os.fdopen(read, "rb") as answer:
        subprocess.run(
            [
                "bash",
                "-c",
                'exec "$0" -c "$1" 3>&"$2" <&- >&- 2>&-',
                sys.executable,
                program,
                str(write),
            ],
            pass_fds=[write],
            check=True,
            timeout=60,
        )
        os.close(write)
        assert answer.read() == repr(["/dev/null"] * 3).encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_still_starts_ends_well_when_told(elsewhere: Path, number: int) -> None:
    (elsewhere / "collectors.d").mkdir()
    told = f"run_command.run = lambda *_: os.kill(os.getpid(), {number:d}) or 7"

    result = ran(
        "run", program=f"import os\nfrom reconciler.app import run_command\n{told}\n{MAIN}"
    )

    assert (result.returncode, result.stderr) == (0, "")
