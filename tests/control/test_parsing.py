"""Many files at once: in processes they are what they are one after the other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from reconciler.control.observation import ManifestDirectory, Observation
from reconciler.manifests import parallel_parsing
from tests.control.manifests import age, save, text
from tests.manifests import corpus

TEMPLATE = """\
apiVersion: mailcollector/v1
kind: Template
metadata: {{name: branch}}
spec:
  source: {{protocol: imap, host: {host}, password: {{file: 'secrets/{{name}}'}}}}
"""
DERIVED = """\
apiVersion: mailcollector/v1
kind: MailCollector
metadata: {{name: {name}}}
spec:
  from: {template}
  source: {{username: {name}}}
  recipient: {{forwardTo: {name}@local.example}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The corpus, good and bad, collectors with and without templates, a secret in a manifest, a
    link to nowhere."""
    root = tmp_path / "collectors.d"
    for name in ("valid", "invalid"):
        shutil.copytree(corpus.ROOT / name, root / name)
    (root / "below").mkdir()
    for number in range(20):
        save(root, f"plain{number}")
        save(
            root / "below",
            f"derived{number}",
            DERIVED.format(name=f"derived{number}", template="branch"),
        )
    save(root, "lost", DERIVED.format(name="lost", template="brnch"))
    save(root, "inline", text("inline").replace("{env: P}", "{value: hunter2}"))
    save(root, "branch", TEMPLATE.format(host="imap.example"))
    (root / "nowhere.yaml").symlink_to("nothing")
    for path in root.rglob("*.yaml"):
        if path.exists():
            age(path)
    return root


def spread_out(patch: pytest.MonkeyPatch, *, processes: int) -> None:
    patch.setattr(parallel_parsing, "MANY", 8)
    patch.setattr(parallel_parsing, "_AT_ONCE", 16)
    patch.setattr(os, "sched_getaffinity", lambda _: set(range(processes)))


def shown(look: Observation) -> object:
    return look.observed, look.diagnostics


@pytest.mark.parametrize("allow_inline_secrets", [False, True])
def test_processes_see_what_one_sees(
    root: Path, monkeypatch: pytest.MonkeyPatch, allow_inline_secrets: bool
) -> None:
    together = ManifestDirectory(root, allow_inline_secrets=allow_inline_secrets)
    alone = ManifestDirectory(root, allow_inline_secrets=allow_inline_secrets)

    def both(*, only: list[str] | None = None) -> Observation:
        spread_out(monkeypatch, processes=2)
        seen = together.observe(only=only)
        spread_out(monkeypatch, processes=1)
        assert shown(seen) == shown(alone.observe(only=only))
        return seen

    first = both()
    assert {f"derived{number}" for number in range(20)} <= {
        found.name for found in first.observed.declarations
    }
    assert len(first.observed.broken) > 40
    assert (
        "inline" in {found.name for found in first.observed.declarations}
    ) is allow_inline_secrets

    branch = str(save(root, "branch", TEMPLATE.format(host="mail.example")))
    second = both(only=[branch])
    changed = {found.name for found in second.observed.declarations} - {
        found.name
        for found, before in zip(
            second.observed.declarations, first.observed.declarations, strict=True
        )
        if found == before
    }
    assert changed == {f"derived{number}" for number in range(20)}

    save(root, "branch", TEMPLATE.format(host="'mail..example'"))
    assert {f"derived{number}" for number in range(20)} <= {
        found.name for found in both().observed.broken
    }
    (root / "branch.yaml").unlink()
    both()


def test_what_is_kept_is_kept_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spread_out(monkeypatch, processes=2)
    directory = ManifestDirectory(root)
    look = directory.observe()
    kept = [found.manifest for one in directory._set.results for found in one.parsed.manifests]
    assert {id(found.manifest) for found in look.observed.declarations} <= set(map(id, kept))
    assert look.observed.declarations == ManifestDirectory(root).observe().observed.declarations
    assert all(
        one.effective is one.manifest for one in look.observed.declarations if one.name == "plain1"
    )
    assert directory.observe().observed is look.observed
