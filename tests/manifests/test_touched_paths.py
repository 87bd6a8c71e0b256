"""Which touched paths can be judged without a walk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.manifests.directory_walk import walk
from reconciler.manifests.touched_paths import touched_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d" / "below").mkdir(parents=True)
    for name in ("a.yaml", "b.yml", "below/c.yaml"):
        (tmp_path / "d" / name).write_text("")
    return tmp_path / "d"


def _move_away(root: Path) -> None:
    root.rename(root.with_name("old"))
    (root / "below").mkdir(parents=True)
    (root / "a.yaml").write_text("")


@pytest.mark.parametrize(
    ("touched", "change", "expected"),
    [
        ("a.yaml", lambda root: None, {"a.yaml": True}),
        ("new.yaml", lambda root: (root / "new.yaml").write_text(""), {"new.yaml": True}),
        ("below/n.yml", lambda root: (root / "below/n.yml").write_text(""), {"below/n.yml": True}),
        ("a.yaml", lambda root: (root / "a.yaml").unlink(), {"a.yaml": False}),
        ("never.yaml", lambda root: None, {}),
        (".draft.yaml", lambda root: (root / ".draft.yaml").write_text(""), {}),
        ("a.yaml~", lambda root: (root / "a.yaml~").write_text(""), {}),
        ("README", lambda root: (root / "README").write_text(""), {}),
        (".git", lambda root: (root / ".git").mkdir(), {}),
        ("more", lambda root: (root / "more").mkdir(), None),
        ("below", lambda root: (root / "below/c.yaml").unlink(), None),
        ("more/x.yaml", lambda root: None, None),
        ("l.yaml", lambda root: (root / "l.yaml").symlink_to("a.yaml"), None),
        ("p.yaml", lambda root: os.mkfifo(root / "p.yaml"), None),
        ("d.yaml", lambda root: (root / "d.yaml").mkdir(), None),
        ("a.yaml", _move_away, None),
        ("below/c.yaml", lambda root: root.rename(root.with_name("old")), None),
    ],
)
def test_a_file_in_a_known_directory_needs_no_walk(
    root: Path, touched: str, change: Callable[[Path], object], expected: dict[str, bool] | None
) -> None:
    before = walk(root)
    change(root)
    known = set(map(str, before.files))
    found = touched_files([str(root / touched)], known, before.plain)
    assert found == (
        None if expected is None else {str(root / name): there for name, there in expected.items()}
    )
    if found is not None:
        now = {name for name in known | found.keys() if found.get(name, True)}
        assert now == set(map(str, walk(root).files))


@pytest.mark.parametrize(
    "odd",
    [
        lambda root: (root / "link.yaml").symlink_to("a.yaml"),
        lambda root: (root / "link").symlink_to("below"),
        lambda root: (root / os.fsdecode(b"\xff.yaml")).write_text(""),
    ],
)
def test_where_a_link_or_something_refused_is_a_walk_is_needed(
    root: Path, odd: Callable[[Path], object]
) -> None:
    odd(root)
    assert walk(root).plain == {}
    assert touched_files([str(root / "a.yaml")], {str(root / "a.yaml")}, walk(root).plain) is None


@pytest.mark.parametrize(
    "untold",
    [
        lambda root: (root / "more").mkdir(),
        lambda root: (root / "more.yaml").write_text(""),
        lambda root: (root / "a.yaml").unlink(),
        lambda root: (root / "link").symlink_to("below"),
    ],
)
@pytest.mark.parametrize("touched", ["new.yaml", "b.yml"])
def test_what_no_event_told_of_needs_a_walk(
    root: Path, touched: str, untold: Callable[[Path], object]
) -> None:
    before = walk(root)
    known = set(map(str, before.files))
    (root / "new.yaml").write_text("")
    (root / "b.yml").unlink()
    both = [str(root / "new.yaml"), str(root / "b.yml")]
    assert touched_files(both, known, before.plain) == {both[0]: True, both[1]: False}
    assert touched_files([str(root / touched)], known, before.plain) is None
    untold(root)
    assert touched_files(both, known, before.plain) is None
