"""`python -m bench.page`, from the checkout's root: the list page of a daemon with many collectors,
in Debian's Chromium.

Nine tenths of the collectors want mail of hosts that refuse connections, and the others are
disabled: so the daemon has their loops, and its work is the page's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from reconciler.web.access.roles import Role
from reconciler.web.access.token_file import TokenFile
from tests.servers.loopback import free_ports

_TIMEOUT = 300.0
_TABS = 7
_KEYS = ("6", "0", "0", "8")
_FIRST_PAINT = """() => new Promise((done) => new PerformanceObserver((found) => {
  const paint = found.getEntriesByName('first-contentful-paint')[0];
  const load = performance.getEntriesByType('navigation')[0];
  if (paint) done([load.responseStart, paint.startTime, load.encodedBodySize]);
}).observe({ type: 'paint', buffered: true }))"""
_AWAIT_ANSWER = """() => {
  const [field, list] = [document.getElementById("search"), document.getElementById("list")];
  const listed = () => new URL(list.querySelector("[name=back]").value, location).searchParams;
  window.answer = new Promise((done) => {
    field.addEventListener("input", () => {
      const from = performance.now();
      const look = () => {
        if ((listed().get("search") ?? "") !== field.value) return;
        seen.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - from)));
      };
      const seen = new MutationObserver(look);
      seen.observe(list, { childList: true, subtree: true });
    }, { once: true });
  });
}"""
"""Begins to wait. It returns nothing: Playwright would wait for a promise before the key."""


def declare(directory: Path, count: int) -> None:
    """Write the manifests, in directories of 500."""
    for number in range(count):
        place = directory / f"{number // 500:03}"
        place.mkdir(parents=True, exist_ok=True)
        name, host = f"c{number:05}", f"127.0.{number % 40 + 1}.1"
        (place / f"{name}.yaml").write_text(
            "apiVersion: mailcollector/v1\nkind: MailCollector\n"
            f"metadata: {{name: {name}, labels: {{team: t{number % 30}}}}}\nspec:\n"
            f"  title: Mailbox {number}\n  enabled: {'false' if number % 10 == 0 else 'true'}\n"
            f"  source: {{protocol: imap, host: {host}, port: 9, username: u{number},"
            " password: {env: BENCH}}\n"
            f"  recipient: {{forwardTo: u{number}@example.net}}\n"
        )


@contextmanager
def running(root: Path, port: int) -> Iterator[int]:
    """Run the daemon until it is ready, and yield its process id."""
    program = Path(sys.executable).with_name("mailcollector")
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                "run",
                root / "collectors.d",
                "--state-dir",
                root / "state",
                "--listen",
                f"127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            env={**os.environ, "BENCH": "x"},
        )
        try:
            _await_ready(port)
            yield process.pid
        finally:
            process.kill()
            process.wait()


def _await_ready(port: int) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("the daemon was never ready")


def resident(pid: int) -> float:
    """Return the memory of a process in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1000


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def log_in(browser: Browser, port: int, token: str) -> Page:
    """Return a page that shows the list."""
    page = browser.new_context(base_url=f"http://127.0.0.1:{port}").new_page()
    page.goto("/login")
    page.locator("#token").fill(token)
    page.locator("main form button").click()
    page.wait_for_url("**/")
    return page


def paint(page: Page) -> tuple[float, float, float]:
    """Load the list. Return the ms until the first byte and the first paint, and the kB sent."""
    page.reload(wait_until="load")
    first, painted, size = page.evaluate(_FIRST_PAINT)
    return first, painted, size / 1000


def press(page: Page, key: str) -> float:
    """Press a key in the search. Return the ms until the list that it asks for is painted."""
    page.evaluate(_AWAIT_ANSWER)
    page.keyboard.press(key)
    return float(page.evaluate("window.answer"))


def heap(session: CDPSession) -> float:
    """Return the memory of the page's script in MB, after a collection."""
    session.send("HeapProfiler.collectGarbage")
    found = session.send("Performance.getMetrics")["metrics"]
    octets = {str(one["name"]): float(one["value"]) for one in found}
    return octets["JSHeapUsedSize"] / 1e6


def probe(port: int, count: int = 40) -> list[float]:
    """Return how many ms answers of /healthz took."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30)
        taken.append(1000 * (time.perf_counter() - began))
        time.sleep(0.05)
    return taken


def measure(count: int, root: Path) -> None:
    """Print the figures."""
    declare(root / "collectors.d", count)
    (root / "state").mkdir(mode=0o700)
    token = TokenFile(root / "state" / "tokens.json").create("bench", Role.EDIT)
    port = free_ports(1)[0]
    with running(root, port) as pid, sync_playwright() as playwright:
        before = resident(pid)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = log_in(browser, port, token)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        loads = [paint(page) for _ in range(9)]
        print("ms to the first byte, the first paint; kB:", *map(_middle, zip(*loads, strict=True)))
        page.keyboard.press("/")
        keys = [press(page, key) for key in (*_KEYS, *["Backspace"] * 4) * 2]
        print(f"ms from a key to the list: {_middle(keys)}, most {max(keys):.0f}")
        print(f"MB of the script, 1 tab: {heap(session):.1f}")
        print(f"MB of the daemon before and after: {before:.0f} {resident(pid):.0f}")
        quiet = probe(port)
        tabs = [page.context.new_page() for _ in range(_TABS - 1)]
        for tab in tabs:
            tab.goto("/")
        used, began = cpu_seconds(pid), time.monotonic()
        busy = probe(port, 200)
        share = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        print(f"seven tabs: MB of the daemon {resident(pid):.0f}, cores {share:.2f}")
        print(f"ms of /healthz, one tab: {_middle(quiet)}, most {max(quiet):.0f};", end=" ")
        print(f"seven: {_middle(busy)}, most {max(busy):.0f}")
        browser.close()


def _middle(values: tuple[float, ...] | list[float]) -> str:
    return f"{median(values):.0f}"


if __name__ == "__main__":
    asked = argparse.ArgumentParser(prog="python -m bench.page")
    asked.add_argument("--collectors", type=int, default=10_000)
    with tempfile.TemporaryDirectory() as place:
        measure(asked.parse_args().collectors, Path(place))
