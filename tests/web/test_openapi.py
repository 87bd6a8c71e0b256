"""The API is what its OpenAPI document says: tried by schemathesis over TCP, and read here."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from reconciler.model.settings import Settings
from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from tests.web.daemon import run
from tests.web.test_connections import listening, patient

_CONFIGURATION = """
[parameters]
"path.name" = ["sales", "off"]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 422, 428]
"""
"""412 and 428 are about If-Match; 422 is about rules that no schema can say."""
NOT_TRIED = ("/api/v1/events",)
"""Streams that never end."""


def test_the_document_names_every_operation_with_its_role(
    root: Path,
    settings: Settings,
) -> None:
    async def scenario() -> None:
        token = TokenFile(settings.token_file).create("tester", Role.VIEW)
        async with listening(root, settings) as (found, port), patient() as client:
            await found.controller.turn()
            url = f"http://127.0.0.1:{port}"
            assert (await client.get(f"{url}/openapi.json")).status_code == 401
            headers = {"Authorization": f"Bearer {token}"}
            document = (await client.get(f"{url}/openapi.json", headers=headers)).json()
            assert document["openapi"] == "3.1.0"
            one = (await client.get(f"{url}/api/v1/collectors/sales", headers=headers)).json()
            described = document["components"]["schemas"]["DescribedCollector"]
            assert set(one) <= set(described["properties"])
            assert set(described["required"]) <= set(one)
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    is_open = path in {"/healthz", "/readyz", "/metrics"}
                    assert bool(operation["security"]) is not is_open, path
                    assert operation["summary"]
                    if method != "get" and path != "/-/reload":
                        answer = await client.request(
                            method, url + path.replace("{name}", "sales"), headers=headers
                        )
                        assert answer.status_code == 403, "the role view changes nothing"

    run(scenario())


def test_schemathesis_finds_nothing(root: Path, settings: Settings) -> None:
    async def scenario() -> None:
        token = TokenFile(settings.token_file).create("tester", Role.EDIT)
        async with listening(root, settings) as (found, port):
            await found.controller.turn()
            found.script.may_end.set()
            config = settings.state_dir / "schemathesis.toml"
            config.write_text(_CONFIGURATION)
            program = Path(sys.executable).with_name("schemathesis")
            process = await asyncio.create_subprocess_exec(
                program,
                f"--config-file={config}",
                "run",
                f"http://127.0.0.1:{port}/openapi.json",
                f"--header=Authorization: Bearer {token}",
                "--phases=examples,coverage,fuzzing",
                "--max-examples=3",
                "--generation-deterministic",
                "--no-color",
                "--max-time=40",
                *(f"--exclude-path={path}" for path in NOT_TRIED),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "PYTHONWARNINGS": ""},
                cwd=settings.state_dir,
            )
            said, _ = await process.communicate()
            assert process.returncode == 0, said.decode()[-6000:]

    run(scenario())
