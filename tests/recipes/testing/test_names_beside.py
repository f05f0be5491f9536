"""The walk through folders that finds recipe tests and locks."""

from __future__ import annotations

from pathlib import Path

from mutspec.documents_beside import files_below


def test_files_below_a_folder_are_sorted_without_hidden_folders_and_links_to_folders(tmp_path: Path) -> None:
    for name in ("b/z.yaml", "b/a.yaml", "a/x.yaml", "a/x.txt", ".git/x.yaml", "y.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "link").symlink_to(tmp_path)
    found = files_below(tmp_path, lambda path: path.suffix == ".yaml")
    names = [path.relative_to(tmp_path).as_posix() for path in found]
    assert names == ["y.yaml", "a/x.yaml", "b/a.yaml", "b/z.yaml"]
