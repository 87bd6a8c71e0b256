"""A directory of manifests with all kinds of unusual files, and the expected diagnostics.

`python -m tests.manifests.hostile DIRECTORY` creates one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from tests.endtoend.watched import manifest

BYTES: dict[str, tuple[bytes, str]] = {
    "hexadecimal": (b"title: 0x" + b"f" * 5000, "ambiguous-number"),
    "octal": (b"title: 0o" + b"7" * 9000, "ambiguous-number"),
    "binary": (b"title: -0b" + b"1" * 20_000, "ambiguous-number"),
    "decimal": (b"title: 1" + b"0" * 5000, "ambiguous-number"),
    "leading-zero": (b"title: +0" + b"9" * 5000, "ambiguous-number"),
    "float": (b"title: 1." + b"3" * 5000 + b"e" + b"9" * 5000, "ambiguous-number"),
    "number-as-key": (b"{0x" + b"f" * 5000 + b": 1, 1" + b"0" * 5000 + b": 2}", "syntax"),
    "long-key": (
        b"? " + b"k" * 100_000 + b"\n: {" + b",".join(b"a%d: 1" % n for n in range(2000)) + b"}",
        "bad-key",
    ),
    "long-line": (b"x: " + b"pass" * 20_000, "missing-key"),
    "long-words": (b"- " + b"secret_" * 100_000 + b" x: y", "syntax"),
    "deep": (b"[" * 30_000, "too-deep"),
    "deep-mapping": (b"{a: " * 5_000, "too-deep"),
    "documents": (b"--- {a: 1}\n" * 6_000, "missing-key"),
    "values": (b"- a\n" * 25_000, "too-many-values"),
    "keys": (b"\n".join(b"k%d: 1" % n for n in range(19_000)), "too-many-values"),
    "aliases": (
        b"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [" + b"*a," * 10 + b"]\nc: &c [" + b"*b," * 10 + b"]\n"
        b"d: [" + b"*c," * 10 + b"]",
        "alias-bomb",
    ),
    "recursive": (b"&a [*a]", "recursive-alias"),
    "anchored-key": (b"&k key: 1\n*k : 2\n? *k\n: 3", "bad-key"),
    "surrogate": (b'title: "\\ud800"', "syntax"),
    "null-escape": (
        manifest("null-escape").replace("username: null-escape", 'username: "a\\0b"').encode(),
        "control-character",
    ),
    "null-label": (
        manifest("null-label").replace("watched: 'yes'", r'"a\0\e[2J": "\0\u202e"').encode(),
        "",
    ),
    "tag": (b"!!python/object/apply:os.system [id]", "tag"),
    "nul": (b"a\0b", "control-character"),
    "latin": (b"title: caf\xe9", "not-utf8"),
    "utf16": ("title: x".encode("utf-16"), "not-utf8"),
    "broken-second": (manifest("broken-second").encode() + b"---\n{[", "syntax"),
    "garbage": (bytes(range(1, 256)) * 100, "not-utf8"),
    "empty": (b"", "empty-file"),
    "large": (b"# " + b"x" * (1 << 20), "file-too-large"),
}
"""The contents and the expected rule by file name. An empty rule means none."""
MORE = {
    "fifo.yaml": "file-not-regular",
    "socket.yaml": "file-not-regular",
    "directory.yaml": "file-not-regular",
    "device.yaml": "file-not-regular",
    "endless.yaml": "file-not-regular",
    "dangling.yaml": "file-unreadable",
    "loop.yaml": "file-unreadable",
    "shadow.yaml": "link-leads-out",
    "environment.yaml": "link-leads-out",
    "all": "link-leads-out",
    "up": "link-leads-out",
    "usr": "too-many-entries",
    "\\xff\\xfe.yaml": "file-name",
    "directory-\\xff": "file-name",
    "/".join(["d"] * 65): "directories-too-deep",
    "denied.yaml": "file-unreadable",
    "denied": "file-unreadable",
    "no-search/x.yaml": "file-unreadable",
}
GOOD = ("good-a", "good-b")
HEAVY = frozenset({"long-key", "long-words", "documents", "values", "keys", "usr"})
"""Cases that take seconds to read or to create."""


def make(root: Path, *, heavy: bool = True) -> dict[str, str]:
    """Fill `root` and return the expected rule for each path below it. The `heavy` cases are
    optional."""
    root.mkdir(parents=True, exist_ok=True)
    for name in GOOD:
        (root / f"{name}.yaml").write_text(manifest(name))
    left_out = frozenset() if heavy else HEAVY
    contents = {name: found for name, found in BYTES.items() if name not in left_out}
    for name, (content, _) in contents.items():
        (root / f"{name}.yaml").write_bytes(content)
    _special_files(root)
    _links(root, heavy=heavy)
    _names_and_depths(root)
    _modes(root)
    _git(root)
    more = {name: rule for name, rule in MORE.items() if name not in left_out}
    return {f"{name}.yaml": rule for name, (_, rule) in contents.items() if rule} | more


def _special_files(root: Path) -> None:
    os.mkfifo(root / "fifo.yaml")
    os.mkfifo(root / ".allow-empty")
    (root / "directory.yaml").mkdir()
    with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.yaml")


def _links(root: Path, *, heavy: bool) -> None:
    outside = root.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "shadow").write_text("root:$6$hunter2$hunter2:19000:0:99999:7:::\nhunter2: [\n")
    for name, target in {
        "device": "/dev/null",
        "endless": "/dev/zero",
        "dangling": "nowhere",
        "loop": "loop.yaml",
        "shadow": str(outside / "shadow"),
        "environment": "/proc/self/environ",
    }.items():
        (root / f"{name}.yaml").symlink_to(target)
    for name, target in {"all": "/", "up": "..", "self": "."}.items():
        (root / name).symlink_to(target)
    if heavy:
        (root / "usr").symlink_to(crowded(outside))


def crowded(outside: Path) -> Path:
    """Create a directory of too many entries behind a link. The entries are links, the fastest
    kind."""
    crowd = outside / "crowd"
    for part in range(3):
        (crowd / str(part)).mkdir(parents=True)
        for number in range(7_000):
            (crowd / str(part) / f"{number}.yaml").symlink_to("nowhere")
    return crowd


def _names_and_depths(root: Path) -> None:
    for name in (b"\xff\xfe.yaml", b"\xff\xfe.txt"):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_text(manifest("bytes"))
    Path(os.fsdecode(os.fsencode(root) + b"/directory-\xff")).mkdir()
    odd = root / "odd\x1b[2J\x9b\u202e\n name"
    odd.mkdir()
    (odd / "\x07.yaml").write_text("x")
    here = os.open(root, os.O_PATH)
    for _ in range(520):
        os.mkdir("d", dir_fd=here)  # the whole path is too long for any call
        below = os.open("d", os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def _modes(root: Path) -> None:
    for name, mode in (("denied", 0), ("no-search", 0o644)):
        (root / name).mkdir()
        (root / name / "x.yaml").write_text(manifest(f"x-{name}"))
        (root / name).chmod(mode)
    (root / "denied.yaml").write_text("x")
    (root / "denied.yaml").chmod(0)


def _git(root: Path) -> None:
    """Create a work tree without a readable file."""
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("ref: refs/heads/\x1b[2J")
    for name in ("packed-refs", "index", "commondir"):
        os.mkfifo(root / ".git" / name)


if __name__ == "__main__":
    for path, rule in make(Path(sys.argv[1])).items():
        print(rule, path)
