"""A result is made once for what it depends on, and is whole or not there."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.study.clock import Clock
from circuitwise.study.store import JSON, LOCK, TENSORS, Store, copy_file, make_folder, only_writer


def test_a_result_is_made_once(tmp_path: Path) -> None:
    store = Store(tmp_path, Clock({}))
    assert store.json("a", {"x": 1}, lambda: [1.5, None]) == [1.5, None]
    assert Store(tmp_path, Clock({})).json("a", {"x": 1}, lambda: pytest.fail("made again")) == [1.5, None]
    assert store.json("a", {"x": 2}, lambda: "other") == "other" and store.json("b", {"x": 1}, lambda: 3) == 3
    assert store.made == {"a": 2, "b": 1}


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, Clock({}))

    def fail() -> int:
        raise RequestError("no")

    with pytest.raises(RequestError):
        store.json("a", 1, fail)
    assert not store.path("a", 1, JSON.suffix).exists() and store.made == {}


def test_a_damaged_result_is_named_with_the_way_out(tmp_path: Path) -> None:
    store = Store(tmp_path, Clock({}))
    store.json("a", 1, lambda: 3)
    store.path("a", 1, JSON.suffix).write_text("{", "utf-8")
    with pytest.raises(ArtifactError, match=r"not valid JSON.*Delete it and give the same command again"):
        store.json("a", 1, lambda: 3)


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    value = {"x": torch.randn(3, 2), "y": torch.arange(3, dtype=torch.int16)}
    made = Store(tmp_path, Clock({})).keep("t", 1, lambda: value, TENSORS)
    read = Store(tmp_path, Clock({})).keep("t", 1, lambda: pytest.fail("made again"), TENSORS)
    assert made is value and all(torch.equal(read[name], value[name]) for name in value)


def test_a_copy_is_the_same_file_content_and_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new", "utf-8")
    (tmp_path / "b").write_text("old", "utf-8")
    copy_file(tmp_path / "a", tmp_path / "b")
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text("utf-8") == "new" and sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_one_process_writes_at_a_time_and_a_dead_one_locks_nothing(tmp_path: Path) -> None:
    script = "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); "
    script += "lock.acquire(); print('in', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdin is not None and other.stdout.readline() == "in\n"
    with pytest.raises(RequestError, match="Another process is working"), only_writer(tmp_path):
        pass
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    with only_writer(tmp_path):
        pass


def test_halves_of_files_that_a_dead_process_left_are_removed(tmp_path: Path) -> None:
    half = make_folder(tmp_path / "evidence") / ".circuitwise-0123.partial"
    half.write_text("{", "utf-8")
    with only_writer(tmp_path):
        assert not half.exists()


def test_a_folder_that_cannot_be_written_into_is_said(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(ArtifactError, match="Nothing can be written into the folder"), only_writer(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ArtifactError, match="cannot be made"):
        make_folder(tmp_path / "file" / "folder")
