from __future__ import annotations

from pathlib import Path

import pytest

from qhn2edge import resources
from qhn2edge.errors import StorageError
from qhn2edge.resources import resource, resource_text


class TestResource:
    @pytest.mark.parametrize("name", ["export", "firmware"])
    def test_data_folders(self, name: str) -> None:
        """Both data folders are found and hold files."""
        folder = resource(name)
        assert folder.is_dir()
        assert any(path.is_file() for path in folder.rglob("*"))

    def test_every_shipped_text_is_found_by_parts(self) -> None:
        """A file below a data folder is found by its path components."""
        root = resource("export")
        some = next(path for path in sorted(root.rglob("*")) if path.is_file())
        parts = some.relative_to(root).parts
        assert resource("export", *parts) == some
        assert resource_text("export", *parts) == some.read_text(encoding="utf-8")

    def test_installed_data_come_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The wheel's folder wins over one that happens to lie beside the package."""
        package = tmp_path / "qhn2edge"
        for folder, content in ((package / "_data" / "export", "wheel"), (tmp_path / "export", "checkout")):
            folder.mkdir(parents=True)
            (folder / "a.txt").write_text(content)
        (tmp_path / "export" / "b.txt").write_text("checkout")
        monkeypatch.setattr(resources, "_PACKAGE", package)
        assert resource_text("export", "a.txt") == "wheel"
        assert resource_text("export", "b.txt") == "checkout"

    def test_missing(self) -> None:
        """A missing file says which one, and that the installation is broken."""
        with pytest.raises(StorageError) as raised:
            resource("export", "no", "such")
        assert str(raised.value) == (
            "the installed qhn2edge lacks its file export/no/such. Reinstall qhn2edge."
        )
