"""Files and folders are whole or not there."""

import os

import pytest

from naejax.files import new_folder, write_file


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_file(path, "old")

    def fails(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        write_file(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_new_files_have_the_usual_permissions(tmp_path):
    write_file(tmp_path / "ours", b"")
    (tmp_path / "usual").touch()
    with new_folder(tmp_path / "folder", marker="m"):
        pass
    (tmp_path / "usual_folder").mkdir()
    for ours, usual in (("ours", "usual"), ("folder", "usual_folder")):
        modes = [(tmp_path / name).stat().st_mode for name in (ours, usual)]
        assert modes[0] == modes[1]


def test_folder_appears_only_when_all_went_well(tmp_path):
    path = tmp_path / "deep" / "run"
    with pytest.raises(RuntimeError), new_folder(path, marker="m") as folder:
        write_file(folder / "m", "half")
        raise RuntimeError
    assert not path.exists() and not list(path.parent.iterdir())
    with new_folder(path, marker="m") as folder:
        write_file(folder / "m", "whole")
        assert not path.exists()
    assert (path / "m").read_text() == "whole"


def test_failed_replacement_keeps_the_old_folder(tmp_path):
    path = tmp_path / "run"
    with new_folder(path, marker="m") as folder:
        write_file(folder / "m", "old")
    with (
        pytest.raises(RuntimeError),
        new_folder(path, marker="m", overwrite=True) as folder,
    ):
        write_file(folder / "m", "new")
        raise RuntimeError
    assert (path / "m").read_text() == "old"
    with new_folder(path, marker="m", overwrite=True) as folder:
        write_file(folder / "m", "new")
    assert (path / "m").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_only_own_folders_are_replaced(tmp_path):
    path = tmp_path / "thesis"
    path.mkdir()
    with new_folder(path, marker="m"):  # empty: nothing to lose
        pass
    write_file(path / "chapter", "precious")
    for overwrite in (False, True):
        with (
            pytest.raises(ValueError, match="not a run"),
            new_folder(path, marker="m", overwrite=overwrite),
        ):
            pass
    assert (path / "chapter").read_text() == "precious"


def test_a_run_is_refused_without_overwrite(tmp_path):
    with new_folder(tmp_path / "run", marker="m") as folder:
        write_file(folder / "m", "")
    with (
        pytest.raises(ValueError, match="pass --overwrite"),
        new_folder(tmp_path / "run", marker="m"),
    ):
        pass


def test_a_folder_is_made_within_another(tmp_path):
    within = tmp_path / "within"
    within.mkdir()
    with new_folder(tmp_path / "run", marker="m", within=within) as folder:
        write_file(folder / "m", "m")
        # What a process that is killed now would leave.
        assert folder.parent == within
        assert [path.name for path in tmp_path.iterdir()] == ["within"]
    assert not any(within.iterdir())
    assert (tmp_path / "run" / "m").is_file()
