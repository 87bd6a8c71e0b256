"""A real identity provider on loopback: oidc-provider, for the browser's part too.

PKCE, a new refresh token at every use, and a second use of an old one revokes the grant.
`scripts/test-tools` (a part of `make test`) installs it. Its users are whoever logs in; their
access tokens are opaque, and Dovecot asks for each whose it is (RFC 7662).
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx

from reconciler.model.consent_request import Prompt
from tests import tools
from tests.servers.dovecot_settings import TokenInfo

SECRET = "canary-secret:+%/"
"""Of the clients `basic` and `post`, named after how they send it; the client `public` has none."""
SCOPE = "openid offline_access mail"
_SCRIPT = Path(__file__).with_name("identity.mjs")
_PAGES = 20


class Identity:
    """`with Identity() as provider:`"""

    def __enter__(self) -> Self:
        tools.require()
        self._complaints = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [tools.NODE, _SCRIPT, tools.MODULES / "oidc-provider"],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            self._process.wait()
            raise RuntimeError(f"oidc-provider did not start:\n{self.complaints}")
        self.issuer = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.issuer, timeout=20)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        self._process.communicate()
        self._complaints.close()

    @property
    def complaints(self) -> str:
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")

    @property
    def token_info(self) -> TokenInfo:
        """How Dovecot learns whose an access token is."""
        return TokenInfo(
            self.issuer.replace("//", "//dovecot:introspection@") + "/token/introspection",
            "post",
            "sub",
        )

    def url(self, path: str) -> str:
        return f"{self.issuer}/{path}"

    @property
    def seen(self) -> dict[str, Any]:
        """`grants`: the type of each one; `refused`: why each other was; `revoked`: how many
        consents; `held`: how many requests wait; `ways`: how clients proved themselves."""
        answer: dict[str, Any] = self._client.get("/control").json()
        return answer

    def tell(self, **wanted: object) -> dict[str, Any]:
        """`lifetime` of new access tokens, in seconds; `hold`: "request" or "answer", where
        requests for tokens wait from now on; "" lets them go. As `seen`."""
        answer: dict[str, Any] = (
            self._client.post("/control", json=wanted).raise_for_status().json()
        )
        return answer


class Person:
    """Opens what they are shown in a browser, in a thread, logs in and answers."""

    def __init__(self, user: str, *, consents: bool = True) -> None:
        self._answer = {"user": user, "consent": "yes" if consents else "no"}
        self._thread = threading.Thread(target=lambda: None)
        self.pages: list[str] = []

    def __call__(self, prompt: Prompt) -> None:
        self._thread = threading.Thread(target=self._browse, args=(prompt,))
        self._thread.start()

    def wait(self) -> None:
        """Until they have answered."""
        self._thread.join()

    def done(self) -> str:
        """The last page that they saw."""
        self.wait()
        return self.pages[-1]

    def _browse(self, prompt: Prompt) -> None:
        with httpx.Client(follow_redirects=True, timeout=20) as browser:
            page = browser.get(prompt.url)
            for _ in range(_PAGES):
                self.pages.append(page.text)
                form = self._filled(page.text, prompt)
                if form is None:
                    return
                action = re.search(r'action="([^"]*)"', page.text)
                page = browser.post(urljoin(str(page.url), action[1] if action else ""), data=form)

    def _filled(self, page: str, prompt: Prompt) -> dict[str, str] | None:
        """What the form of a page is answered with; None where there is none."""
        if "<form" not in page:
            return None
        if "name=consent" in page:
            return self._answer
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page))
        if 'name="user_code"' in page and "user_code" not in hidden:
            return {**hidden, "user_code": prompt.code}
        return {**hidden, "confirm": "yes"}
