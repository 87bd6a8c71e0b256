"""The command `python -m demo.pictures [NAME...]`: takes pictures of the page.

All of them go to `build/pictures/`, in each language and colour scheme, wide and narrow; or those
whose names begin with a NAME. The two that the README shows go to `docs/pictures/`, with fewer
colours. Those of a directory that cannot be written need root.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import httpx
from playwright.sync_api import sync_playwright

from demo import daemon, picture_pages
from demo.mailserver.server import SmallServer
from demo.picture_camera import BUILD, Camera
from demo.picture_corners import CrowdScene, EmptyScene, RareScene
from demo.picture_history import spread
from demo.picture_scene import PictureScene
from demo.scene import Scene
from tests.read_only import read_only
from tests.servers.loopback import free_ports

TIMEOUT = 180.0
"""Seconds to wait until every collector is in its state."""
REASON = "Disk of the mail system is being replaced"


def main(wanted: tuple[str, ...]) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("pictures: chromium is not installed: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory(prefix="mailcollector-") as root,
        SmallServer() as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        camera = Camera(browser, wanted or ("",))
        for show in (_every_day, _rare, _empty, _crowd, _read_only):
            show(camera, Path(root) / show.__name__.strip("_"), server)
        browser.close()


def _every_day(camera: Camera, root: Path, server: SmallServer) -> None:
    """Twelve collectors in different states; at the end their daemon dies."""
    everything = picture_pages.EVERY_DAY + picture_pages.DEAD
    if not camera.wants(everything):
        return
    scene = PictureScene(root)
    scene.lay_out(server)
    daemon.run_once(scene, quiet=True)
    spread(scene.state / "ledger.sqlite3", [one.name for one in scene.collectors], "sales")
    with _running(camera, scene) as process:
        camera.take(picture_pages.EVERY_DAY)
        opened = list(camera.open(picture_pages.DEAD))
        daemon.stop(process)
        for page, name in opened:
            page.locator("#connection").wait_for()
            camera.shoot(page, name)


def _rare(camera: Camera, root: Path, server: SmallServer) -> None:
    """Long names, a consent that is missing, and a pause."""
    if not camera.wants(picture_pages.RARE + picture_pages.PAUSED):
        return
    scene = RareScene(root)
    scene.lay_out(server)
    with _running(camera, scene):
        camera.take(picture_pages.RARE)
        with _asking(scene) as client:
            client.post("/api/v1/pause", json={"reason": REASON}).raise_for_status()
            scene.make_deletions_due()
            client.post("/-/reload").raise_for_status()
        camera.take(picture_pages.PAUSED)


def _empty(camera: Camera, root: Path, server: SmallServer) -> None:
    """No collector, and at first no token either."""
    if not camera.wants(picture_pages.FIRST + picture_pages.EMPTY):
        return
    scene = EmptyScene(root)
    scene.lay_out(server)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with daemon.running(scene, address, TIMEOUT):
        camera.url, camera.session = f"http://{address}", None
        camera.take(picture_pages.FIRST)
        camera.log_in(daemon.login_link(scene, address))
        camera.take(picture_pages.EMPTY)


def _crowd(camera: Camera, root: Path, server: SmallServer) -> None:
    """Ten thousand collectors."""
    if not camera.wants(picture_pages.CROWD):
        return
    scene = CrowdScene(root)
    scene.lay_out(server)
    with _running(camera, scene, still_waiting=scene.size):
        camera.take(picture_pages.CROWD)


def _read_only(camera: Camera, root: Path, server: SmallServer) -> None:
    """A directory that cannot be written."""
    if os.geteuid() or not camera.wants(picture_pages.READ_ONLY):
        return
    scene = PictureScene(root)
    scene.lay_out(server)
    with read_only(scene.manifests), _running(camera, scene):
        camera.take(picture_pages.READ_ONLY)


@contextmanager
def _running(camera: Camera, scene: Scene, still_waiting: int = 0) -> Iterator[Popen[bytes]]:
    """Run the daemon, wait until no more collectors than `still_waiting` wait for their first
    session, and log in."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with daemon.running(scene, address, TIMEOUT) as process:
        _await_states(scene, still_waiting)
        camera.log_in(daemon.login_link(scene, address))
        yield process


def _await_states(scene: Scene, still_waiting: int) -> None:
    deadline = time.monotonic() + TIMEOUT
    with _asking(scene) as client:
        while True:
            states = client.get("/api/v1/summary").json()["states"]
            is_there = client.get("/readyz").is_success
            if is_there and states.get("waiting", 0) <= still_waiting:
                return
            if time.monotonic() > deadline:
                raise SystemExit(f"pictures: some had no session: {states}")
            time.sleep(0.2)


def _asking(scene: Scene) -> httpx.Client:
    """Return a client of the control socket."""
    transport = httpx.HTTPTransport(uds=str(scene.state / "control.sock"))
    return httpx.Client(transport=transport, base_url="http://localhost", timeout=60)


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
