from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.identity import DataDirectory, DirectoryLocked, IdentityError, directory
from app.identity.directory import PrivateDirectory
from backplane.cli.exit import ExitCode


def test_directory_is_created_for_its_owner_alone(tmp_path: Path) -> None:
    path = PrivateDirectory.open(tmp_path / "a" / "b").path
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701])
def test_directory_open_to_others_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(IdentityError, match=f"mode {mode:03o}.*chmod 700 {tmp_path}"):
        PrivateDirectory.open(tmp_path)


def test_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(IdentityError, match="File exists"):
        PrivateDirectory.open(file)


def test_data_directory_is_used_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with DataDirectory.open(path):
        with pytest.raises(DirectoryLocked, match=r"in use by another edge \(process \d+\)") as caught:
            DataDirectory.open(path)
        assert caught.value.exit_code is ExitCode.UNAVAILABLE
    DataDirectory.open(path).close()


def test_data_directory_can_be_closed_twice(tmp_path: Path) -> None:
    data = DataDirectory.open(tmp_path / "data")
    data.close()
    data.close()


def test_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    private = PrivateDirectory.open(tmp_path / "data")
    private.write("file", b"old", secret=True)
    with private.file("file").open("rb") as reader:
        private.write("file", b"new", secret=True)
        assert reader.read() == b"old"
    assert private.read("file") == b"new"
    assert [path.name for path in private.path.iterdir()] == ["file"]


def test_failed_write_leaves_the_old_content_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = PrivateDirectory.open(tmp_path / "data")
    private.write("file", b"old", secret=True)

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.identity.directory.os.fsync", fail)
    with pytest.raises(IdentityError, match="file: No space left on device"):
        private.write("file", b"new", secret=True)
    assert private.read("file") == b"old"
    assert [path.name for path in private.path.iterdir()] == ["file"]


def test_creation_waits_for_another_process_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = PrivateDirectory.open(tmp_path / "data")
    monkeypatch.setattr(directory, "CREATION_TIMEOUT", 0.0)
    with private.creation_lock(), pytest.raises(DirectoryLocked), private.creation_lock():
        pass
    with private.creation_lock():
        pass
