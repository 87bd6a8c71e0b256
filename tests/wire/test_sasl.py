from __future__ import annotations

import pytest

from reconciler.model.errors import SourceUnsuitable
from reconciler.model.secret import Secret
from reconciler.wire import sasl


def test_plain_is_utf_8() -> None:
    assert sasl.plain("пример@почта.рф", Secret("пароль")) == "\0пример@почта.рф\0пароль".encode()


@pytest.mark.parametrize("bad", ["\r", "\n", "\0"])
def test_hazard_3_controls_never_reach_the_wire(bad: str) -> None:
    with pytest.raises(SourceUnsuitable, match=r"source\.username"):
        sasl.plain(f"a{bad}b", Secret("x"))
    with pytest.raises(SourceUnsuitable, match=r"source\.password") as caught:
        sasl.plain("a", Secret(f"canary{bad}b"))
    assert "canary" not in str(caught.value)
