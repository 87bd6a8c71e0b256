"""A disk whose power can be cut: an ext4 in a file. Needs root and loop devices; where it cannot be
had, it fails and says what is missing."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

_MIB = 1 << 20
_EXT4_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


class Disk:
    """`with Disk() as disk:`; mounted at `mounted`. What was not synced when the power went is gone
    after `restore`."""

    def __init__(self, mebibytes: int = 64, inodes: int = 4096) -> None:
        self._mebibytes = mebibytes
        self._inodes = inodes

    def __enter__(self) -> Self:
        if os.getuid() != 0:
            raise RuntimeError(
                "cutting the power of a disk needs root, for mounting an ext4 from a file: "
                "run as root"
            )
        self._directory = Path(tempfile.mkdtemp(prefix="power"))
        self._image = self._directory / "image"
        self.mounted = self._directory / "disk"
        self.mounted.mkdir()
        with self._image.open("wb") as image:
            image.truncate(self._mebibytes * _MIB)
        self._device = ""
        try:
            _run("mkfs.ext4", "-q", "-m", "0", "-N", str(self._inodes), str(self._image))
            self._mount()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _run("umount", str(self.mounted))
        self._clean_up()

    def cut(self) -> None:
        """The power goes."""
        cut([os.open(self.mounted, os.O_RDONLY)])

    def sync(self) -> None:
        """Everything so far is on the disk."""
        _run("sync", "-f", str(self.mounted))

    def restore(self) -> None:
        """The power is back: the file system's journal is replayed."""
        _run("umount", str(self.mounted))
        self._detach()
        copy = self._image.with_suffix(".copy")
        _run(
            "cp", str(self._image), str(copy)
        )  # the old one stays mounted where other mount namespaces have copied it
        copy.replace(self._image)
        self._mount()

    def unmount(self, *, lazily: bool = False) -> None:
        """The disk is not there; lazily: who has something open on it may go on there."""
        _run("umount", *(["--lazy"] if lazily else []), str(self.mounted))

    def mount(self) -> None:
        """It is there again."""
        _run("mount", self._device, str(self.mounted))

    def remount(self, how: str) -> bool:
        """Read-only (`ro`) or not (`rw`); whether the kernel did that: it does not while something
        is being written."""
        return (
            subprocess.run(
                ["mount", "-o", f"remount,{how}", self.mounted],
                check=False,
                stderr=subprocess.DEVNULL,
            ).returncode
            == 0
        )

    def _mount(self) -> None:
        """Not by `mount -o loop`, which may lose races for a free loop device."""
        self._device = _run("losetup", "--find", "--show", str(self._image))
        _run("mount", self._device, str(self.mounted))

    def _detach(self) -> None:
        if self._device:
            _run("losetup", "--detach", self._device)
            self._device = ""

    def _clean_up(self) -> None:
        self._detach()
        shutil.rmtree(self._directory)


def cut(mounted: Iterable[int]) -> None:
    """Cut the power of the ext4s that are mounted at these open directories. What was not synced is
    lost."""
    for directory in mounted:
        if os.fstat(directory).st_dev == os.stat("..", dir_fd=directory).st_dev:
            raise RuntimeError("nothing is mounted there: the power of another disk would be cut")
        fcntl.ioctl(directory, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        os.close(directory)


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(
            "a disk whose power can be cut needs root, loop devices, mount and mkfs.ext4 "
            f"(e2fsprogs); "
            f"`{' '.join(command)}` says: {done.stderr.strip()}"
        )
    return done.stdout.strip()
