"""Texts are read from every kind of file, in one order."""

import gzip
import json
import lzma
from importlib.util import find_spec
from pathlib import Path

import pytest

from circuitwise.errors import ArtifactError, RequestError
from circuitwise.training.text import PIECE, HubText, check_text, read_texts, text_files

TEXTS = ["Der Müller mahlt.", "Die Mühle\nsteht.", "日本"]
LINES = "".join(json.dumps({"source": "x", "text": text}, ensure_ascii=False) + "\n" for text in TEXTS)


def write(path: Path, text: str) -> Path:
    opened = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opened(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.gz", ".jsonl.xz"])
def test_each_line_of_a_jsonl_file_is_a_text(tmp_path: Path, ending: str) -> None:
    assert list(read_texts(write(tmp_path / f"größe{ending}", LINES + "\n"))) == TEXTS


@pytest.mark.parametrize("ending", [".txt", ".txt.gz", ".txt.xz"])
def test_plain_text_comes_in_pieces_that_end_at_line_ends(tmp_path: Path, ending: str) -> None:
    whole = "".join(f"line {number} ä\n" for number in range(20_000))
    pieces = list(read_texts(str(write(tmp_path / f"a{ending}", whole))))
    assert "".join(pieces) == whole and len(pieces) > 1
    assert all(piece.endswith("\n") and len(piece) < 2 * PIECE for piece in pieces)


def test_a_folder_is_read_file_by_file_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path / "b.txt", "second")
    write(tmp_path / "a.jsonl.gz", LINES)
    write(tmp_path / "below" / "c.txt.xz", "third")
    write(tmp_path / "notes.md", "not read")
    assert [file.name for file in text_files(tmp_path)] == ["a.jsonl.gz", "b.txt", "c.txt.xz"]
    assert list(read_texts(tmp_path)) == [*TEXTS, "second", "third"]


def test_a_list_is_the_texts_themselves() -> None:
    assert list(read_texts(TEXTS)) == TEXTS


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"There is no text at .*nowhere"):
        list(read_texts(tmp_path / "nowhere"))
    with pytest.raises(RequestError, match=r"holds no text. Put .txt"):
        list(read_texts(tmp_path))
    with pytest.raises(RequestError, match=r"a.pdf is not known to hold text"):
        list(read_texts(write(tmp_path / "a.pdf", "x")))
    with pytest.raises(ArtifactError, match=r'Line 2 of .*a.jsonl has no "text"'):
        list(read_texts(write(tmp_path / "a.jsonl", '{"text": "a"}\n{"story": "b"}\n')))
    with pytest.raises(ArtifactError, match=r"Line 1 of .*b.jsonl is not valid JSON"):
        list(read_texts(write(tmp_path / "b.jsonl", "{\n")))


@pytest.mark.parametrize("ending", [".txt.gz", ".txt.xz"])
def test_a_packed_file_that_was_cut_off_is_an_error(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a{ending}", "word " * 10_000)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="cannot be read to its end"):
        list(read_texts(path))


WITHOUT = find_spec("datasets") is None


@pytest.mark.skipif(not WITHOUT, reason="the package datasets is installed")
def test_without_its_package_a_data_set_is_refused_in_a_sentence() -> None:
    with pytest.raises(RequestError, match=r"datasets, which is not installed. Install it: pip install 'circuitwise"):
        check_text(HubText("owner/name"))


@pytest.mark.skipif(WITHOUT, reason="the package datasets is not installed")
def test_a_data_set_is_streamed_row_by_row(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", LINES)
    assert list(read_texts(HubText(str(tmp_path)))) == TEXTS
    with pytest.raises(RequestError, match=r"has no text in “story”. Its columns: source, text."):
        next(read_texts(HubText(str(tmp_path), column="story")))
    with pytest.raises(ArtifactError, match="cannot be read"):
        next(read_texts(HubText(str(tmp_path), split="nowhere")))
