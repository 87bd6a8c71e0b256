"""A form that comes twice is saved once, and no form waits for another one."""

from __future__ import annotations

import asyncio
import gc

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from reconciler.web.page.forms_sent_once import FIELD, FormsSentOnce


def sent(once: str, title: str = "x") -> Request:
    scope = {"type": "http", "headers": [], "state": {"form": FormData({FIELD: once, "t": title})}}
    return Request(scope)


class Disk:
    """Saves forms, and notes them; those of `slow` when it is told to."""

    def __init__(self, slow: str) -> None:
        self.slow = slow
        self.saved: list[str] = []
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    async def save(self, request: Request) -> Response:
        once = request.state.form[FIELD]
        self.saved.append(once)
        if once == self.slow:
            self.begun.set()
            await self.over.wait()
        return RedirectResponse(f"/collectors/{once}", 303)


def test_a_slow_disk_delays_its_own_form_only() -> None:
    async def scenario() -> None:
        forms, disk = FormsSentOnce(), Disk("slow")
        slow = [asyncio.create_task(forms.save_once(sent("slow"), disk.save)) for _ in range(3)]
        await disk.begun.wait()
        for once in ("a", "b", "a"):
            answer = await forms.save_once(sent(once), disk.save)
            assert answer.headers["location"] == f"/collectors/{once}"
        assert not any(one.done() for one in slow)
        disk.over.set()
        answers = await asyncio.gather(*slow)
        assert {one.headers["location"] for one in answers} == {"/collectors/slow"}
        assert sorted(disk.saved) == ["a", "b", "slow"]

    asyncio.run(scenario())


def test_nothing_is_kept_of_forms_that_are_not_under_way_but_where_they_led() -> None:
    async def scenario() -> None:
        forms, disk = FormsSentOnce(), Disk("")
        for number in range(1100):
            await forms.save_once(sent(str(number)), disk.save)
        gc.collect()
        assert len(forms._under_way) == 0
        assert len(forms._led_to) == 1000
        await forms.save_once(sent("1099"), disk.save)
        assert len(disk.saved) == 1100

    asyncio.run(scenario())


def test_what_was_not_saved_is_saved_when_it_comes_again() -> None:
    async def scenario() -> None:
        forms, tries = FormsSentOnce(), []

        async def save(_request: Request) -> Response:
            tries.append(1)
            return Response(status_code=422) if len(tries) == 1 else RedirectResponse("/there", 303)

        assert (await forms.save_once(sent("x"), save)).status_code == 422
        assert (await forms.save_once(sent("x"), save)).headers["location"] == "/there"
        assert (await forms.save_once(sent("x", "another"), save)).headers["location"] == "/there"
        assert len(tries) == 3

    asyncio.run(scenario())
