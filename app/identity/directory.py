"""Directories that hold secrets: private, written whole or not at all, and locked.

A file is written next to its place, synced, and renamed into it, so that a reader and a crash see the old content or
the new one. Locks are `flock` on a file in the directory: the kernel lets go when the process ends, however it ends,
so a stale lock file means nothing.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from .errors import DirectoryLocked, IdentityError

__all__ = ["DataDirectory", "PrivateDirectory"]

CREATION_TIMEOUT = 10.0
"""Seconds that a process waits for another one to have created the shared files."""
RETRY_INTERVAL = 0.05


class PrivateDirectory:
    """A directory that only its owner can enter. Made by `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the directory, created if it is not there.

        Raises:
            IdentityError: it cannot be created, is not a directory, or is open to others.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise IdentityError(f"directory {path}: {error.strerror or error}") from None
        if mode & 0o077:
            raise IdentityError(
                f"directory {path} holds secrets but is open to others (mode {mode:03o}): chmod 700 {path}"
            )
        return cls(path.absolute())

    def file(self, name: str) -> Path:
        """Return the path of a file in here."""
        return self.path / name

    def read(self, name: str) -> bytes | None:
        """Return a file's content, or None if there is none. Raises IdentityError."""
        try:
            return self.file(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IdentityError(f"{self.file(name)}: {error.strerror or error}") from None

    def write(self, name: str, content: bytes, *, secret: bool) -> None:
        """Replace a file's content in one step; a secret is for the owner's eyes only. Raises IdentityError."""
        target = self.file(name)
        draft = self.file(f".{name}.{secrets.token_hex(4)}")
        try:
            _write_synced(draft, content, 0o600 if secret else 0o644)
            draft.rename(target)
            _sync_directory(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise IdentityError(f"{target}: {error.strerror or error}") from None

    @contextmanager
    def creation_lock(self) -> Iterator[None]:
        """Keep other processes from creating files in here at the same moment. Raises DirectoryLocked."""
        descriptor = self._open_lock("creation.lock")
        try:
            deadline = time.monotonic() + CREATION_TIMEOUT
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise DirectoryLocked(
                        f"directory {self.path}: another process has been creating it for too long"
                    )
                time.sleep(RETRY_INTERVAL)
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self, name: str) -> int:
        try:
            return os.open(self.file(name), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise IdentityError(f"{self.file(name)}: {error.strerror or error}") from None


class DataDirectory(PrivateDirectory):
    """The directory of one edge, locked against every other process until `close` or the process's end."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock = -1

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the directory, created if it is not there, and locked.

        Raises:
            DirectoryLocked: another process has it.
            IdentityError: as `PrivateDirectory.open`.
        """
        data = super().open(path)
        data._acquire()
        return data

    def _acquire(self) -> None:
        lock = self._open_lock("lock")
        if not _try_lock(lock):
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise DirectoryLocked(f"data directory {self.path} is in use by another edge (process {holder})")
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock

    def close(self) -> None:
        """Let another process have the directory."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
