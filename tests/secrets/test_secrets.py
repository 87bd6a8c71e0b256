"""Secrets from files, variables and programs; hazards S1, S3, S4."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.errors import SecretUnavailable
from reconciler.model.secret import Secret
from reconciler.model.spec import SecretRef
from reconciler.secrets import read_secret, secret_command, stamp

CANARY = "c4n4ry-пароль"


def ref(**where: Any) -> SecretRef:
    return SecretRef.model_validate(where)


def program(text: str) -> SecretRef:
    return ref(command=(sys.executable, "-c", text))


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"plain", "plain"),
        (b"one newline\n", "one newline"),
        (b"windows\r\n", "windows"),
        (b" spaces count ", " spaces count "),
        ("пароль\n".encode(), "пароль"),
    ],
)
def test_S4_one_trailing_newline_is_stripped(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert read_secret(ref(file=str(tmp_path / "secret"))) == Secret(secret)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"  \n", "is empty, but for spaces"),
        (b"two\n\n", "control character"),
        (b"two\nlines", "control character"),
        (b"car\rriage", "control character"),
        (b"nul\0", "control character"),
        (b"tab\there", "control character"),
        (b"del\x7f", "control character"),
        ("next line \x85".encode(), "control character"),
        (b"latin \xe9", "not UTF-8"),
        (b"x" * 70000, "over 65536 bytes"),
    ],
)
def test_S4_L3_other_control_characters_are_rejected(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(SecretUnavailable, match=says) as caught:
        read_secret(ref(file=str(path)))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "raw", [b"\xef\xbb\xbfp\xc3\xa4ss\n", b"\xef\xbb\xbfp\xc3\xa4ss\r\n", b"p\xc3\xa4ss"]
)
def test_F17_a_byte_order_mark_is_no_part_of_it(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "secret").write_bytes(raw)
    assert read_secret(ref(file=str(tmp_path / "secret"))) == Secret("päss")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match=rf"{tmp_path}/none: No such file"):
        read_secret(ref(file=f"{tmp_path}/none"))


def test_what_is_no_file_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        with pytest.raises(SecretUnavailable, match="is not a file"):
            read_secret(ref(file=str(tmp_path / name)))


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES_PASSWORD", CANARY)
    assert read_secret(ref(env="SALES_PASSWORD")) == Secret(CANARY)
    monkeypatch.delenv("SALES_PASSWORD")
    with pytest.raises(SecretUnavailable, match="SALES_PASSWORD is not set"):
        read_secret(ref(env="SALES_PASSWORD"))


def test_from_the_manifest() -> None:
    assert read_secret(ref(value=CANARY)) == Secret(CANARY)


def test_from_a_program_without_a_shell() -> None:
    assert read_secret(program("import sys; print('$HOME;' + sys.argv[0])")) == Secret("$HOME;-c")


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable, match=r"cannot start .*/none"):
        read_secret(ref(command=(f"{tmp_path}/none",)))


def test_a_program_that_fails_tells_its_exit_code() -> None:
    with pytest.raises(SecretUnavailable, match="exit code 3"):
        read_secret(program("print('half'); raise SystemExit(3)"))
    with pytest.raises(SecretUnavailable, match="signal 9"):
        read_secret(program("import os; os.kill(os.getpid(), 9)"))


def test_a_program_that_does_not_end_is_killed_with_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secret_command, "TIMEOUT", 0.2)
    child = "import time; time.sleep(600)"
    forever = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(SecretUnavailable, match=r"within 0\.2 seconds"):
        read_secret(program(forever))


def test_a_program_that_prints_without_end_is_killed() -> None:
    with pytest.raises(SecretUnavailable, match="over 65536 bytes"):
        read_secret(program("while True: print('x' * 1000)"))


@pytest.mark.parametrize(
    "text",
    [
        f"{CANARY}\nsecond line",
        f"{CANARY}\0",
        f"{CANARY}\udce9",
        CANARY * 8000,
    ],
)
def test_S1_S6_L8_no_error_carries_the_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(text.encode(errors="surrogateescape"))
    printing = (
        "import sys; data = open(sys.argv[1], 'rb').read(); sys.stdout.buffer.write(data); "
        "sys.stderr.buffer.write(data); sys.exit(len(sys.argv) - 2)"
    )
    for where in (
        ref(file=str(path)),
        ref(command=(sys.executable, "-c", printing, str(path))),
        ref(command=(sys.executable, "-c", printing, str(path), "fail")),
    ):
        with pytest.raises(SecretUnavailable) as caught:
            read_secret(where)
        assert "c4n4ry" not in "".join(traceback.format_exception(caught.value)) + repr(
            caught.value
        )
        assert caught.value.__context__ is None


def test_S6_a_secret_does_not_print_itself(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = read_secret(program(f"import sys; sys.stderr.write({CANARY!r}); print({CANARY!r})"))
    assert CANARY not in f"{secret} {secret!r} {[secret]}"
    assert capfd.readouterr() == ("", "")


def test_the_stamp_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    where = ref(file=str(path))
    stamps = [stamp(where)]
    for content in ("one", "two"):
        path.with_suffix(".new").write_text(content)
        path.with_suffix(".new").rename(path)
        stamps += [stamp(where), stamp(where)]
    assert stamps[0] == ""
    assert stamps[1] == stamps[2] != stamps[3] == stamps[4]


def test_the_stamp_follows_a_swapped_directory(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(name)
    link = tmp_path / "..data"
    link.symlink_to("a")
    where = ref(file=str(link / "secret"))
    before = stamp(where)
    link.unlink()
    link.symlink_to("b")
    assert stamp(where) != before


def test_only_files_have_stamps() -> None:
    assert stamp(ref(env="X")) is None
    assert stamp(ref(command=("pass",))) is None
