"""Which tests are near a change: those that enter the changed function, quick ones first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.mutants.mutations import Mutation

AREAS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "session": (
        ("reconciler/collect/**/*.py",),
        ("tests/collect", "tests/routing", "tests/control/test_check_requests.py"),
    ),
    "ledger": (
        ("reconciler/ledger/*.py", "reconciler/app/adapters.py"),
        ("tests/ledger", "tests/app", "tests/control/test_state_ownership.py"),
    ),
    "delivery": (("reconciler/destinations/**/*.py",), ("tests/destinations",)),
    "deletion": (
        (
            "reconciler/sources/imap/imap_deletion.py",
            "reconciler/sources/imap/uid_search.py",
            "reconciler/sources/pop3/pop3_deletion.py",
            "reconciler/sources/pop3/pop3_listing.py",
            "reconciler/sources/pop3/pop3_source.py",
        ),
        ("tests/sources",),
    ),
    "secrets": (
        ("reconciler/secrets/**/*.py", "reconciler/model/secret.py"),
        ("tests/secrets", "tests/model", "tests/web/test_consent_page.py"),
    ),
    "planning": (
        ("reconciler/planning/*.py",),
        (
            "tests/planning",
            "tests/control/test_controller.py",
            "tests/control/test_decision_recorder.py",
            "tests/control/test_observation.py",
            "tests/control/test_rerouting.py",
        ),
    ),
}
"""What is changed, and the tests near it."""

_ROOT = Path(__file__).parents[2]
Recorded = Mapping[str, tuple[float, bool, Sequence[str]]]
"""By test: its seconds, whether it asks for a mail server, the functions that it enters."""


@cache
def _text(file: str) -> str:
    return (_ROOT / file).read_text()


class NearTests:
    def __init__(self, recorded: Recorded) -> None:
        self._seconds = {test: seconds for test, (seconds, _, _) in recorded.items()}
        self._order = {test: (served, seconds) for test, (seconds, served, _) in recorded.items()}
        self._entering: defaultdict[str, set[str]] = defaultdict(set)
        for test, (_, _, functions) in recorded.items():
            for function in functions:
                path = function.partition(":")[0]
                for name in (function, path, path.rpartition("/")[0]):
                    self._entering[name].add(test)

    def of(self, mutation: Mutation, limit: float) -> tuple[list[str], float]:
        """Return the tests that enter the changed function, quick ones first, and the seconds that
        they take: at most about `limit`. Those that ask for a mail server come last.

        Of many tests, those of files that name the module are taken first, and those of each file
        in turn. As far as there is time for more, or at the top of a module: those that enter any
        of its functions. At the top of a module of tables, say, any function of its directory.
        """
        own = self._entering[mutation.place] if mutation.function else set()
        near = own | self._entering[mutation.path]
        if not mutation.function or not near:
            near = near | self._entering[mutation.path.rpartition("/")[0]]
        chosen: list[str] = []
        total = 0.0
        turns: Counter[str] = Counter()
        in_turn: list[tuple[bool, bool, int, bool, float, str]] = []
        module = mutation.path.removesuffix(".py").replace("/", ".")
        for test in sorted(near or self._seconds, key=self._order.__getitem__):
            file = test.partition("::")[0]
            turns[file] += 1
            elsewhere = module not in _text(file)
            in_turn.append((test not in own, elsewhere, turns[file], *self._order[test], test))
        for *_, seconds, test in sorted(in_turn):
            if not chosen or total + seconds <= limit:
                chosen.append(test)
                total += seconds
        return sorted(chosen, key=self._order.__getitem__), total
