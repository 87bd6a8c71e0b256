"""The container image, as far as it can be known without a container engine; `make test-image`
builds and runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.project import ROOT

STATE, MANIFESTS = "/var/lib/mailcollector", "/etc/mailcollector/collectors.d"


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, in order; comments left out, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    lines = (line.partition(" ") for line in joined.splitlines())
    return [(word, " ".join(rest.split())) for word, _, rest in lines if word]


def final() -> dict[str, str]:
    """The last stage's instructions, each as it was said last."""
    stages = [number for number, (word, _) in enumerate(instructions()) if word == "FROM"]
    return dict(instructions()[stages[-1] :])


def environment() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", final()["ENV"]))


def health_check() -> list[str]:
    command: list[str] = json.loads(final()["HEALTHCHECK"].partition(" CMD ")[2])
    return command


def test_it_is_built_in_stages_from_one_slim_image_without_a_registry_host() -> None:
    assert instructions()[0] == ("ARG", "BASE=debian:trixie-slim")
    stages = [rest for word, rest in instructions() if word == "FROM"]
    assert stages == ["${BASE} AS python", "python AS build", "python"]


def test_nothing_is_installed_that_has_no_hash_or_is_compiled() -> None:
    commands = " && ".join(rest for word, rest in instructions() if word == "RUN").split(" && ")
    installing = [command for command in commands if re.search(r"pip .*\binstall\b", command)]
    assert len(installing) == 3
    assert [one for one in installing if "--require-hashes" not in one] == [installing[-1]]
    assert installing[-1].endswith("--no-deps /tmp/built/*.whl")
    assert all("--only-binary=:all:" in one for one in installing[:-1])


def test_the_strict_policy_holds_and_stands_where_manifests_do_not() -> None:
    policy = environment()["MAILCOLLECTOR_POLICY"]
    assert ("COPY", f"deploy/policy.yaml {policy}") in instructions()
    assert not policy.startswith((MANIFESTS, STATE))


def test_it_runs_as_a_fixed_number_that_is_not_root() -> None:
    assert final()["USER"] == "10001:10001"


def test_signals_arrive() -> None:
    assert json.loads(final()["ENTRYPOINT"]) == ["mailcollector"]
    assert json.loads(final()["CMD"]) == ["run", MANIFESTS]
    assert final()["STOPSIGNAL"] == "SIGTERM"


def test_what_is_written_goes_to_volumes() -> None:
    assert json.loads(final()["VOLUME"]) == [STATE, MANIFESTS]
    assert environment()["MAILCOLLECTOR_STATE_DIR"] == STATE
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_everything_that_it_copies_is_there_and_not_ignored() -> None:
    copies = [rest for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    copied = [path for rest in copies for path in rest.split()[:-1]]
    allowed = re.findall(
        r"^!(.*)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(copied) == sorted(allowed)
    assert [path for path in copied if not (ROOT / path).exists()] == []


def test_the_health_check_fails_without_a_daemon(tmp_path: Path) -> None:
    assert _healthy(tmp_path) != 0


def test_a_daemon_started_as_the_image_does_is_healthy_and_ends_at_sigterm(tmp_path: Path) -> None:
    state, manifests = tmp_path / "state", tmp_path / "collectors.d"
    state.mkdir()
    manifests.mkdir()
    program = Path(sys.executable).with_name("mailcollector")
    daemon = subprocess.Popen(
        [program, "run", manifests],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "MAILCOLLECTOR_STATE_DIR": str(state)},
    )
    try:
        assert any(_healthy(state) == 0 for _ in _patiently(daemon))
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(15) == 0
    finally:
        daemon.kill()


def _patiently(daemon: subprocess.Popen[bytes], patience: float = 60) -> Iterator[None]:
    """Again and again until patience ends."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        assert daemon.poll() is None
        yield
        time.sleep(0.1)


def _healthy(state: Path) -> int:
    """The exit code of the image's health check."""
    program, *arguments = health_check()
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    return subprocess.run(
        command,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "MAILCOLLECTOR_STATE_DIR": str(state)},
    ).returncode
