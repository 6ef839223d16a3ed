import csv
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import Style, StyleBook, StyleFileError, read_style_file, style_files, write_style_file


def test_a_file_of_a1111(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text(
        'name,prompt,negative_prompt\nPhoto,"photo of {prompt}, 50mm","drawing, ""art"""\n'
        "# off,x,y\nShort, b\n,nameless,\n",
        encoding="utf-8-sig",
    )
    assert [(style.name, style.prompt, style.negative_prompt) for style in read_style_file(path)] == [
        ("Photo", "photo of {prompt}, 50mm", 'drawing, "art"'),
        ("# off", "x", "y"),
        ("Short", "b", ""),
    ]
    assert list(StyleBook((path,)).load()) == ["Photo", "Short"]


def test_the_first_versions_header(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text("name,text\nOld,oil painting\n", encoding="utf-8")
    assert read_style_file(path) == [Style("Old", "oil painting", "", path)]


def test_a_file_in_a_windows_code_page(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_bytes("name,prompt,negative_prompt\nCafé,crème,\n".encode("cp1252"))
    assert read_style_file(path) == [Style("Café", "crème", "", path)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("comma", [",", ";", "\t"])
def test_a_file_of_a_spreadsheet(tmp_path: Path, encoding: str, comma: str) -> None:
    path = tmp_path / "styles.csv"
    rows = [["name", "prompt", "negative_prompt"], ["Café", "crème", ""]]
    path.write_text("".join(comma.join(row) + "\n" for row in rows), encoding)
    assert read_style_file(path) == [Style("Café", "crème", "", path)]


def test_a_table_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text("model,price\nA,1\n")
    with pytest.raises(StyleFileError, match="has no column `name`: its first line has to be name,prompt"):
        StyleBook((path,)).save(Style("a", "b"))
    assert path.read_text() == "model,price\nA,1\n"


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text("name,prompt\na," + "x" * 200_000)
    # Other packages raise this limit for the whole process.
    before = csv.field_size_limit(131_072)
    try:
        with pytest.raises(StyleFileError, match=r"styles\.csv"):
            read_style_file(path)
    finally:
        csv.field_size_limit(before)


def test_saving_keeps_the_old_file_and_the_other_rows(tmp_path: Path) -> None:
    path = tmp_path / "new" / "styles.csv"
    book = StyleBook((path,))
    assert book.load() == {}
    book.save(Style("a", "one\ntwo", "no, not"))
    before = path.read_bytes()
    assert before.startswith(b"\xef\xbb\xbfname,prompt,negative_prompt\r\n")
    book.save(Style("b", "later"))
    assert path.with_name("styles.csv.bak").read_bytes() == before
    book.save(Style("a", "changed"))
    assert [(style.name, style.prompt) for style in book.load().values()] == [("a", "changed"), ("b", "later")]
    assert [style.name for style in book.choose(["b", "missing", "a"])] == ["b", "a"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["styles.csv", "styles.csv.bak"]


def test_rows_switched_off_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "styles.csv"
    path.write_text("name,prompt,negative_prompt\n# off,x,y\na,b,c\n")
    StyleBook((path,)).save(Style("d", "e"))
    assert [style.name for style in read_style_file(path)] == ["# off", "a", "d"]


def test_several_files_are_one_list(tmp_path: Path) -> None:
    write_style_file(tmp_path / "styles-1.csv", [Style("a", "1"), Style("b", "1")])
    write_style_file(tmp_path / "styles-2.csv", [Style("b", "2")])
    book = StyleBook((tmp_path / "styles-*.csv", tmp_path / "styles-1.csv", tmp_path / "missing.csv"))
    assert [file.name for file in book.files] == ["styles-1.csv", "styles-2.csv"]
    assert {name: style.prompt for name, style in book.load().items()} == {"a": "1", "b": "2"}
    grouped = [(path.name, [style.name for style in styles]) for path, styles in book.by_file()]
    assert grouped == [("styles-1.csv", ["a"]), ("styles-2.csv", ["b"])]
    book.save(Style("b", "3"))
    assert [style.prompt for style in read_style_file(tmp_path / "styles-2.csv")] == ["3"]
    book.save(Style("c", "new"))
    assert [style.name for style in read_style_file(tmp_path / "styles-1.csv")] == ["a", "b", "c"]
    book.delete("b")
    assert list(book.load()) == ["a", "c"]


def test_what_cannot_be_saved_or_deleted_is_said(tmp_path: Path) -> None:
    book = StyleBook((tmp_path / "styles.csv",))
    for name in ("", "# x"):
        with pytest.raises(StyleFileError, match="name"):
            book.save(Style(name))
    with pytest.raises(StyleFileError, match="too long"):
        book.save(Style("a", "x" * 200_000))
    with pytest.raises(StyleFileError, match="no style named 'a'"):
        book.delete("a")
    with pytest.raises(StyleFileError, match="--styles-file"):
        StyleBook((tmp_path / "*.csv",)).save(Style("a"))
    assert list(tmp_path.iterdir()) == []


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
styles = st.builds(Style, name=texts.filter(lambda name: name.strip(" ") == name and name), prompt=texts.map(str.strip))


@given(st.lists(styles, max_size=4))
def test_files_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: Any) -> None:
    path = tmp_path_factory.mktemp("styles") / "styles.csv"
    write_style_file(path, rows)
    assert [(style.name, style.prompt) for style in read_style_file(path)] == [(row.name, row.prompt) for row in rows]


def test_what_another_program_saves_in_between_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "styles.csv"
    write_style_file(path, [Style("a", "one")])
    read = style_files.read_style_file
    edits = iter([True])

    def edited_while_read(file: Any) -> Any:
        rows = read(file)
        if len(rows) == 1 and next(edits, False):
            write_style_file(file, [*rows, Style("theirs", "kept")])
        return rows

    book = StyleBook((path,))
    known = book.load()
    monkeypatch.setattr(style_files, "read_style_file", edited_while_read)
    monkeypatch.setattr(StyleBook, "load", lambda _: known)
    book.save(Style("b", "two"))
    assert [row.name for row in read(path)] == ["a", "theirs", "b"]


def test_a_full_disk_loses_no_style(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "styles.csv"
    write_style_file(path, [Style("a", "one")])
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("modules.files.atomic._write_synced", full)
    with pytest.raises(StyleFileError, match=r"the disk of .* is full"):
        StyleBook((path,)).save(Style("b", "two"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_one_stray_byte_spoils_no_other_row(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "styles.csv"
    path.write_bytes(mark + "name,prompt,negative_prompt\n猫,夜の猫,\nBad,a".encode() + b"\x85,\n")
    expected = [Style("猫", "夜の猫", "", path), Style("Bad", "a…", "", path)]
    assert read_style_file(path) == expected
    StyleBook((path,)).save(Style("New", "c"))
    assert read_style_file(path) == [*expected, Style("New", "c", "", path)]


@pytest.mark.parametrize(
    "rows",
    [
        "name,prompt,negative_prompt\na,b,c,d\n",
        "name,prompt,negative_prompt\n,b,c\n",
        "name,prompt,negative_prompt,notes\na,b,c,my note\n",
    ],
)
def test_what_is_not_understood_is_not_written_over(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "styles.csv"
    path.write_text(rows)
    book = StyleBook((path,))
    changes: list[Callable[[], object]] = [lambda: book.save(Style("New", "c")), lambda: book.delete("a")]
    for change in changes:
        with pytest.raises(StyleFileError):
            change()
    assert path.read_text() == rows
