from __future__ import annotations

import hashlib
import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qhn2edge.errors import StorageError
from qhn2edge.storage import (
    canonical_json,
    digest_json,
    new_folder,
    read_bytes,
    sha256,
    write_bytes,
    write_json,
    write_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder, hidden ones too, with its text; folders end in ``/``."""
    return {
        str(path.relative_to(folder)) + ("/" if path.is_dir() else ""): path.read_text()
        if path.is_file()
        else ""
        for path in folder.rglob("*")
    }


def failing(real: Callable[..., Any], *calls: int) -> Callable[..., Any]:
    """Return ``real`` except that the calls of these numbers, counted from 1, find the disk full."""
    count = 0

    def call(*args: object, **kwargs: object) -> object:
        nonlocal count
        count += 1
        if count in calls:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    return call


class TestWriteBytes:
    def test_new_and_overwrite(self, tmp_path: Path) -> None:
        """The file holds exactly the content, and nothing else appears beside it."""
        path = tmp_path / "a.bin"
        for content in (b"first", b"", b"\x00\xff" * 1000):
            write_bytes(path, content)
            assert path.read_bytes() == content
            assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
    def test_permissions(self, tmp_path: Path, mask: int) -> None:
        """Permissions are those of an ordinary new file, not those of a temporary one."""
        before = os.umask(mask)
        try:
            write_bytes(tmp_path / "a", b"")
            (tmp_path / "b").touch()
        finally:
            os.umask(before)
        assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode

    @pytest.mark.parametrize(
        ("owner", "name"), [(os, "fsync"), (Path, "replace"), (Path, "chmod"), (os, "fdopen")]
    )
    def test_failure_keeps_the_old_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
    ) -> None:
        """Whichever step fails, the old content stays and no temporary file is left."""
        path = tmp_path / "a"
        path.write_text("old")
        monkeypatch.setattr(owner, name, failing(getattr(owner, name), 1))
        with pytest.raises(StorageError) as raised:
            write_bytes(path, b"new")
        monkeypatch.undo()
        assert str(raised.value) == (
            f"cannot write {path} (No space left on device). Choose a folder that you can write to."
        )
        assert tree(tmp_path) == {"a": "old"}

    def test_interruption_keeps_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C while writing leaves the old content and no temporary file."""

        def interrupted(_: int) -> None:
            raise KeyboardInterrupt

        (tmp_path / "a").write_text("old")
        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_bytes(tmp_path / "a", b"new")
        assert tree(tmp_path) == {"a": "old"}

    def test_impossible_places(self, tmp_path: Path) -> None:
        """A missing folder, a path below a file, and a folder of that name are refused in one line."""
        (tmp_path / "file").write_text("x")
        (tmp_path / "folder").mkdir()
        reasons = {
            tmp_path / "none" / "a": "No such file or directory",
            tmp_path / "file" / "a": "Not a directory",
            tmp_path / "folder": "Is a directory",
        }
        for path, reason in reasons.items():
            with pytest.raises(StorageError) as raised:
                write_bytes(path, b"new")
            assert str(raised.value) == (
                f"cannot write {path} ({reason}). Choose a folder that you can write to."
            )
        assert tree(tmp_path) == {"file": "x", "folder/": ""}

    def test_readers_never_see_a_part(self, tmp_path: Path) -> None:
        """A reader beside a writer sees whole contents only."""
        path, contents = tmp_path / "a", [bytes([65 + i]) * 50_000 for i in range(8)]
        write_bytes(path, contents[0])
        seen: set[bytes] = set()
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                seen.add(path.read_bytes())

        reader = threading.Thread(target=watch)
        reader.start()
        for content in contents * 3:
            write_bytes(path, content)
        done.set()
        reader.join()
        assert seen <= set(contents)


class TestTextAndJson:
    def test_text_is_utf8_without_translation(self, tmp_path: Path) -> None:
        """Line ends and non-ASCII letters are written as they are."""
        write_text(tmp_path / "a", "ä\r\nß\n")
        assert (tmp_path / "a").read_bytes() == "ä\r\nß\n".encode()

    @settings(deadline=None, max_examples=50)
    @given(value=JSON)
    def test_json_round_trip(self, tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
        """What is written as JSON reads back equal and ends with one newline."""
        path = tmp_path_factory.getbasetemp() / "value.json"
        write_json(path, value)
        text = path.read_text(encoding="utf-8")
        assert json.loads(text) == value
        assert text.endswith("\n") and not text.endswith("\n\n")

    def test_json_refuses_what_is_not_finite(self, tmp_path: Path) -> None:
        """NaN is not JSON; the old file stays."""
        write_json(tmp_path / "a", 1)
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(tmp_path / "a", float("nan"))
        assert tree(tmp_path) == {"a": "1\n"}


class TestNewFolder:
    def test_appears_only_at_the_end(self, tmp_path: Path) -> None:
        """Inside the block there is no folder of the final name; after it there is, with all files."""
        path = tmp_path / "deep" / "er" / "run"
        with new_folder(path) as folder:
            (folder / "a").write_text("1")
            (folder / "sub").mkdir()
            assert not path.exists()
            assert folder.parent == path.parent
        assert tree(tmp_path / "deep" / "er") == {"run/": "", "run/a": "1", "run/sub/": ""}

    def test_permissions(self, tmp_path: Path) -> None:
        """The folder has the permissions of an ordinary new one."""
        with new_folder(tmp_path / "a"):
            pass
        (tmp_path / "b").mkdir()
        assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode

    @pytest.mark.parametrize("replace", [False, True])
    @pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), StorageError("x")])
    def test_failed_block(self, tmp_path: Path, replace: bool, error: BaseException) -> None:
        """A block that fails leaves the old folder and nothing else; its error passes unchanged."""
        path = tmp_path / "run"
        if replace:
            path.mkdir()
            (path / "old").write_text("1")
        before = tree(tmp_path)
        with pytest.raises(type(error)) as raised, new_folder(path, replace=replace) as folder:
            (folder / "a").write_text("1")
            raise error
        assert raised.value is error
        assert tree(tmp_path) == before

    def test_existing_is_refused(self, tmp_path: Path) -> None:
        """Without replace an existing folder or file stays; with replace a file still does."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "old").write_text("1")
        (tmp_path / "file").write_text("1")
        before = tree(tmp_path)
        for name, replace in (("folder", False), ("file", False), ("file", True)):
            with pytest.raises(StorageError) as raised, new_folder(tmp_path / name, replace=replace):
                pytest.fail("the block must not run")
            assert str(raised.value) == (
                f"{tmp_path / name} exists already. Choose another name, or replace it (--replace)."
            )
        assert tree(tmp_path) == before

    def test_replace_swaps_the_whole_folder(self, tmp_path: Path) -> None:
        """With replace, no file of the old folder is left."""
        path = tmp_path / "run"
        for name in ("a", "b"):
            with new_folder(path, replace=True) as folder:
                (folder / name).write_text(name)
                assert path.exists() == (name == "b")
        assert tree(tmp_path) == {"run/": "", "run/b": "b"}

    def test_folder_that_appears_meanwhile_is_kept(self, tmp_path: Path) -> None:
        """Without replace, a folder that somebody else makes during the block is not lost."""
        path = tmp_path / "run"
        with pytest.raises(StorageError), new_folder(path) as folder:
            (folder / "a").write_text("mine")
            path.mkdir()
            (path / "a").write_text("theirs")
        assert tree(tmp_path) == {"run/": "", "run/a": "theirs"}

    @pytest.mark.parametrize("call", [1, 2])
    def test_failed_swap_restores_the_old_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
    ) -> None:
        """Whichever rename fails, the old folder is back and nothing is left beside it."""
        path = tmp_path / "run"
        path.mkdir()
        (path / "old").write_text("1")
        monkeypatch.setattr(Path, "rename", failing(Path.rename, call))
        full = pytest.raises(StorageError, match="No space left on device")
        with full, new_folder(path, replace=True) as folder:
            (folder / "new").write_text("2")
        monkeypatch.undo()
        assert tree(tmp_path) == {"run/": "", "run/old": "1"}

    def test_failed_restoring_loses_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where even the way back fails, the old folder's files still exist."""
        path = tmp_path / "run"
        path.mkdir()
        (path / "old").write_text("precious")
        monkeypatch.setattr(Path, "rename", failing(Path.rename, 2, 3))
        with pytest.raises(StorageError), new_folder(path, replace=True):
            pass
        monkeypatch.undo()
        assert "precious" in tree(tmp_path).values()

    def test_link_is_replaced_not_followed(self, tmp_path: Path) -> None:
        """Replacing a link to a folder leaves the folder it points to alone."""
        target = tmp_path / "target"
        target.mkdir()
        (target / "kept").write_text("1")
        (tmp_path / "run").symlink_to(target)
        with new_folder(tmp_path / "run", replace=True) as folder:
            (folder / "new").write_text("2")
        assert (target / "kept").read_text() == "1"
        assert not (tmp_path / "run").is_symlink()
        assert {p.name for p in tmp_path.iterdir()} == {"run", "target"}

    def test_unwritable(self, tmp_path: Path) -> None:
        """A path below a regular file is refused in one line, and nothing is left behind."""
        (tmp_path / "file").write_text("x")
        for path in (tmp_path / "file" / "run", tmp_path / "file" / "deep" / "run"):
            refused = pytest.raises(StorageError, match="^cannot write .*Choose a folder")
            with refused, new_folder(path):
                pytest.fail("the block must not run")
        assert tree(tmp_path) == {"file": "x"}


class TestCanonicalJson:
    def test_by_hand(self) -> None:
        """Keys are sorted, there are no spaces, letters beyond ASCII are escaped."""
        assert canonical_json({"b": [1, 1.0, None], "a": "ä"}) == '{"a":"\\u00e4","b":[1,1.0,null]}'

    @settings(deadline=None, max_examples=100)
    @given(value=st.dictionaries(st.text(), JSON, max_size=5), seed=st.randoms())
    def test_order_of_keys_does_not_matter(self, value: dict[str, object], seed: random.Random) -> None:
        """Objects that differ in the order of their keys have one text, and it reads back equal."""
        keys = list(value)
        seed.shuffle(keys)
        assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)
        assert json.loads(canonical_json(value)) == value

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
    def test_finite_only(self, value: object) -> None:
        """What is not finite has no canonical text."""
        with pytest.raises(ValueError, match="not JSON compliant"):
            canonical_json(value)


class TestDigests:
    def test_sha256(self) -> None:
        """The digest is the prefix and the usual hexadecimal SHA-256, of bytes and of UTF-8 text alike."""
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert sha256(b"") == sha256("") == f"sha256:{empty}"
        assert sha256("ä") == "sha256:" + hashlib.sha256(b"\xc3\xa4").hexdigest()

    def test_numbers_of_different_type_differ(self) -> None:
        """1, 1.0, true and "1" are four different values."""
        assert len({digest_json(value) for value in (1, 1.0, True, "1", [1])}) == 5


class TestReadBytes:
    def test_content(self, tmp_path: Path) -> None:
        """The bytes come back unchanged."""
        (tmp_path / "a").write_bytes(b"\r\n\x00")
        assert read_bytes(tmp_path / "a", "file") == b"\r\n\x00"

    def test_errors(self, tmp_path: Path) -> None:
        """A missing file, a folder, and a path below a file are told apart."""
        (tmp_path / "file").write_text("x")
        reasons = {
            tmp_path / "none": "the model file {} does not exist. Check the path.",
            tmp_path: "cannot read the model file {} (Is a directory).",
            tmp_path / "file" / "a": "cannot read the model file {} (Not a directory).",
        }
        for path, reason in reasons.items():
            with pytest.raises(StorageError) as raised:
                read_bytes(path, "model file")
            assert str(raised.value) == reason.format(path)
