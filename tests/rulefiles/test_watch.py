"""A watched directory: what counts as a change, and that no half of one is ever handed on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.rulefiles import watch
from streams.rulefiles.watch import HASH_EVERY, Snapshot, Watcher, digest_of, take


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    directory = tmp_path / "rules"
    directory.mkdir()
    (directory / "a.yaml").write_text("one")
    return directory


def looks(watcher: Watcher, times: int = 3) -> list[Snapshot]:
    """What so many looks hand on."""
    return [found for _ in range(times) if (found := watcher.look()) is not None]


def test_nothing_changed(rules: Path) -> None:
    watcher = Watcher(rules)
    assert watcher.last is not None
    assert watcher.last.files == {"a.yaml": b"one"}
    assert looks(watcher, 2 * HASH_EVERY) == []


def test_a_change_is_handed_on_once_it_rests(rules: Path) -> None:
    watcher = Watcher(rules)
    (rules / "a.yaml").write_text("two!")
    assert watcher.look() is None  # it may be half of it
    (rules / "a.yaml").write_text("two, whole")
    assert watcher.look() is None
    (found,) = looks(watcher)
    assert found.files == {"a.yaml": b"two, whole"}
    assert watcher.last is found


@pytest.mark.parametrize("name", ["b.yaml", "deep/er/b.yml"])
def test_a_file_comes_and_goes(rules: Path, name: str) -> None:
    watcher = Watcher(rules)
    (rules / name).parent.mkdir(parents=True, exist_ok=True)
    (rules / name).write_text("b")
    (found,) = looks(watcher)
    assert found.files == {"a.yaml": b"one", name: b"b"}
    (rules / name).unlink()
    (found,) = looks(watcher)
    assert found.files == {"a.yaml": b"one"}


@pytest.mark.parametrize("name", [".b.yaml", "b.txt", ".git/b.yaml", "b.yaml~"])
def test_what_is_no_rule_file_is_no_change(rules: Path, name: str) -> None:
    watcher = Watcher(rules)
    (rules / name).parent.mkdir(exist_ok=True)
    (rules / name).write_text("b")
    assert looks(watcher) == []


def test_a_touched_file_is_no_change(rules: Path) -> None:
    watcher = Watcher(rules)
    os.utime(rules / "a.yaml", (1, 1))
    assert looks(watcher) == []


def test_a_change_that_no_signature_shows_is_found_in_the_end(rules: Path) -> None:
    path = rules / "a.yaml"
    before = path.stat()
    watcher = Watcher(rules)
    with path.open("r+") as file:  # the same inode and size
        file.write("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (found,) = looks(watcher, HASH_EVERY)
    assert found.files == {"a.yaml": b"two"}


def test_a_link_that_is_swapped(tmp_path: Path) -> None:
    for revision, text in (("rev1", "one"), ("rev2", "two"), ("rev3", "one")):
        (tmp_path / revision / "rules").mkdir(parents=True)
        (tmp_path / revision / "rules" / "a.yaml").write_text(text)
    (tmp_path / "current").symlink_to("rev1")
    watcher = Watcher(tmp_path / "current" / "rules")

    def swap(to: str) -> list[Snapshot]:
        (tmp_path / "new").symlink_to(to)
        (tmp_path / "new").rename(tmp_path / "current")
        return looks(watcher)

    (found,) = swap("rev2")
    assert found.files == {"a.yaml": b"two"}
    (found,) = swap("rev3")
    assert found.files == {"a.yaml": b"one"}
    assert swap("rev1") == []  # elsewhere, and the same


def test_files_that_are_links_into_a_hidden_folder(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: ``a.yaml -> ..data/a.yaml``, ``..data -> ..REVISION``."""
    rules = tmp_path / "rules"
    for revision, text in (("..1", "one"), ("..2", "two")):
        (rules / revision).mkdir(parents=True)
        (rules / revision / "a.yaml").write_text(text)
    (rules / "..data").symlink_to("..1")
    (rules / "a.yaml").symlink_to("..data/a.yaml")
    watcher = Watcher(rules)
    (rules / "..new").symlink_to("..2")
    (rules / "..new").rename(rules / "..data")
    (found,) = looks(watcher)
    assert found.files == {"a.yaml": b"two"}


def test_what_moves_while_it_is_read_is_read_again(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = Watcher(rules)
    (rules / "a.yaml").write_text("half")
    assert watcher.look() is None

    def moving(directory: Path) -> Snapshot:
        found = take(directory)
        (rules / "a.yaml").write_text("whole")
        monkeypatch.undo()
        return found

    monkeypatch.setattr(watch, "take", moving)
    assert watcher.look() is None
    (found,) = looks(watcher)
    assert found.files == {"a.yaml": b"whole"}


def test_a_directory_that_is_gone_for_a_while_changes_nothing(rules: Path, tmp_path: Path) -> None:
    watcher = Watcher(rules)
    rules.rename(tmp_path / "away")
    assert looks(watcher) == []
    (tmp_path / "away").rename(rules)
    assert looks(watcher) == []


def test_a_directory_that_comes_later(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "rules")
    assert watcher.last is None
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("one")
    (found,) = looks(watcher)
    assert found.files == {"a.yaml": b"one"}


def test_a_loop_of_links_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "rules").symlink_to("rules")
    assert looks(Watcher(tmp_path / "rules")) == []


def test_what_cannot_be_read_is_a_problem_and_not_an_empty_file(rules: Path) -> None:
    (rules / "b.yaml").symlink_to("nowhere")
    found = take(rules)
    assert found.problem is not None
    assert "b.yaml" in found.problem


def test_more_bytes_than_a_record_carries(rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BYTES_MAX", 3)
    assert take(rules).problem is None
    (rules / "b.yaml").write_text("x")
    assert "more than 3 bytes" in str(take(rules).problem)


def test_the_digest_knows_names_from_contents() -> None:
    assert digest_of({"a": b"x", "b": b"y"}) == digest_of({"b": b"y", "a": b"x"})
    different = [{"a": b"x"}, {"a": b"", "x": b""}, {"ax": b""}, {"a": b"x", "b": b""}, {}]
    assert len({digest_of(files) for files in different}) == len(different)
