"""Refresh tokens: used one at a time, and replaced by their successors.

Some servers replace a refresh token at each use, and revoke the consent when the old one is used
again. Many collectors may use the same token, from one file or from copies of its text. So the
state here belongs to the token, not to the collector:

- one lock for each place where a refresh token is kept; for a file also against other processes
  (`secrets.secret_writing`);
- a chain of each token and its successors: where an old text of it is still read, the newest one
  is used.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from reconciler.log import log
from reconciler.model.errors import AuthenticationFailed, ConnectionFailed, SecretUnavailable
from reconciler.model.secret import Secret
from reconciler.model.spec import SecretRef
from reconciler.secrets.oauth2.token_request import SecretPlace, place_of
from reconciler.secrets.secret_reading import read_secret
from reconciler.secrets.secret_writing import SecretFile, valid_refresh_token

_REMEMBERED = 64
"""Texts of one refresh token that are remembered."""
_Answer = Mapping[str, Any]


class _Chain:
    """A refresh token with its successors. `lock` is held while one of them is used."""

    def __init__(self, first: Secret) -> None:
        self.lock = threading.Lock()
        self.current = first
        self.files: set[str] = set()
        """Files in which a text of it was found."""
        self.digests = [first.digest()]
        """Digests of its texts: the first one, which an environment variable may hold for ever, and
        the last ones."""


class RefreshTokens:
    """The refresh tokens of one process, for sessions in any thread."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        """Protects all state here; never held while waiting for anything else. Re-entrant, because
        a signal handler may interrupt its holder."""
        self._places: dict[SecretPlace, threading.Lock] = defaultdict(threading.Lock)
        self._chains: dict[str, _Chain] = {}
        """The chains by the digest of each text of the token, now or earlier."""
        self._unused = threading.Condition(self._guard)
        self._in_use = 0
        """How many refresh tokens were sent whose successors may not be kept yet."""
        self._closed = False

    def use(self, ref: SecretRef, collector: str, ask: Callable[[Secret], _Answer]) -> _Answer:
        """Call `ask` with the newest successor of the token that `ref` leads to. Return the answer,
        and keep the successor that it brings.

        Where the server refuses the token, and `ref` leads to another one by now, `ask` is called
        again with that. Warnings name `collector`. Raises what `ask` does; SecretUnavailable;
        ConnectionFailed after `close`.
        """
        with self._guard:
            place_lock = self._places[place_of(ref)]
        with place_lock, _writable(ref) as file:
            return self._refreshed(ref, file, collector, ask)

    def close(self) -> None:
        """Use no further refresh token, and wait until the successors of those in use are kept."""
        with self._unused:
            self._closed = True
            self._unused.wait_for(lambda: self._in_use == 0)

    def _refreshed(
        self,
        ref: SecretRef,
        file: SecretFile | None,
        collector: str,
        ask: Callable[[Secret], _Answer],
    ) -> _Answer:
        found = read_secret(ref)
        while True:
            chain = self._chain_of(found)
            with chain.lock:
                if file is not None:
                    file.reserve()
                    chain.files.add(file.path)
                used = chain.current
                try:
                    with self._using():
                        answer = ask(used)
                        new = self._successor(chain, used, answer, collector)
                        self._keep(chain, found, new, file, collector)
                except AuthenticationFailed:
                    again = read_secret(ref)
                    if again == found or self._is_of(chain, again):
                        raise
                    # Somebody consented meanwhile, or another machine shares the file.
                    found = again
                    continue
                return answer

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Count a refresh token as in use, from before it is sent until its successor is kept."""
        with self._guard:
            if self._closed:
                raise ConnectionFailed("the process ends, so no access token is asked for any more")
            self._in_use += 1
        try:
            yield
        finally:
            with self._unused:
                self._in_use -= 1
                self._unused.notify_all()

    # Chains

    def _chain_of(self, found: Secret) -> _Chain:
        with self._guard:
            return self._chains.setdefault(found.digest(), _Chain(found))

    def _is_of(self, chain: _Chain, secret: Secret) -> bool:
        with self._guard:
            return self._chains.get(secret.digest()) is chain

    def _successor(self, chain: _Chain, used: Secret, answer: _Answer, collector: str) -> Secret:
        """Return the refresh token to use from now on: the one in the answer, else the one that was
        `used`."""
        given = answer.get("refresh_token")
        new = valid_refresh_token(given)
        if new is None and given is not None and given != "":
            log.warning(
                "the server's new refresh token cannot be one, so the old one is kept",
                collector=collector,
            )
        if new is None or new == used:
            new = used
        if new != chain.current:
            self._extend(chain, new)
        return new

    def _extend(self, chain: _Chain, new: Secret) -> None:
        with self._guard:
            chain.current = new
            chain.digests.append(new.digest())
            self._chains[new.digest()] = chain
            if len(chain.digests) > _REMEMBERED:
                del self._chains[chain.digests.pop(1)]

    # Files

    def _keep(
        self, chain: _Chain, found: Secret, new: Secret, file: SecretFile | None, collector: str
    ) -> None:
        """Write `new` to the manifest's file, if we may, and to every other file with a text of the
        same token. Else it stays in memory only. `found` is what the manifest led to."""
        if new != found and file is not None:
            if self._still_holds(chain, file):
                _write(file, found, new, collector)
            else:
                log.warning(
                    "somebody wrote another refresh token while a new one was asked for: it stays, "
                    "and is used from now on",
                    collector=collector,
                    file=file.path,
                )
        others = [path for path in chain.files if file is None or path != file.path]
        written = [self._replace_copy(chain, path, new) for path in others]
        if new != found and file is None and not any(written):
            log.warning(
                "the new refresh token is kept in memory only, and lost when this process ends: "
                "let source.oauth2.refreshToken name a file",
                collector=collector,
            )

    def _still_holds(self, chain: _Chain, file: SecretFile) -> bool:
        """Return whether the file still has a text of this token. True also where it is missing or
        not readable by now: then it is written again."""
        try:
            held = read_secret(SecretRef.model_validate({"file": file.path}))
        except SecretUnavailable:
            return True
        return self._is_of(chain, held)

    def _replace_copy(self, chain: _Chain, path: str, new: Secret) -> bool:
        """Write the new token to another file with a text of the same token. Return whether it is
        there.

        If the file is locked, this does not wait: the thread with that lock waits for the chain's
        lock, which this thread holds. That thread writes the file afterwards.
        """
        try:
            with SecretFile(path, timeout=0.0) as file:
                held = read_secret(SecretRef.model_validate({"file": path}))
                if not self._is_of(chain, held):
                    chain.files.discard(path)
                    return False
                if held != new:
                    file.replace(held, new)
        except SecretUnavailable:
            return False
        return True


def _write(file: SecretFile, found: Secret, new: Secret, collector: str) -> None:
    try:
        file.replace(found, new)
    except SecretUnavailable as error:
        log.warning(
            "the new refresh token is kept in memory only, and lost when this process ends",
            collector=collector,
            error=str(error),
        )


@contextmanager
def _writable(ref: SecretRef) -> Iterator[SecretFile | None]:
    """Lock the file of a secret; yield None for a secret that is in no file."""
    if ref.file is None:
        yield None
        return
    with SecretFile(ref.file) as file:
        yield file
