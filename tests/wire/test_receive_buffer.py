"""What was received and not read yet."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.wire.receive_buffer import ReceiveBuffer

PARTS = st.lists(
    st.sampled_from(
        [b"\r\n.", b"\r", b"\n", b".", b"..", b"x" * 1021, b"x" * 1022, b"x" * 1023, b"x"]
    ),
    max_size=30,
)


@given(PARTS, st.integers(0, 40), st.integers(0, 40))
@example([b".", b"x" * 1021, b"\r\n."], 0, 0)
@example([b".", b"x" * 1022, b"\r\n."], 0, 0)
@example([b".", b"x" * 1023, b"\r\n."], 0, 0)
def test_a_dot_that_begins_a_line_is_found_wherever_other_dots_are(
    parts: list[bytes], read: int, offset: int
) -> None:
    wire = b"".join(parts)
    buffer = ReceiveBuffer()
    space = buffer.space()
    wire = wire[: len(space)]
    space[: len(wire)] = wire
    buffer.received(len(wire))
    buffer.take(read)

    assert buffer.find_dot(offset) == wire[read:].find(b"\r\n.", offset)
