"""A survey reads back as it was written; what does not belong together is refused by name."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.dictionaries.shipped import shipped_survey
from circuitwise.errors import ArtifactError
from circuitwise.features.saving import LAYER, check_belongs, load_survey, save_survey
from circuitwise.features.survey import survey
from circuitwise.storage import read_table, write_table
from circuitwise.vocabulary import Feature
from tests.features.material import FEW, replacement, sequences, surveyed


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ein Überblick") / "survey"
    save_survey(surveyed(), folder)
    return folder


def test_what_is_written_reads_back_exactly(saved: Path):
    before, after = surveyed(), load_survey(saved)
    assert (after.origin, after.how, after.texts) == (before.origin, before.how, before.texts)
    assert torch.equal(after.sequences, before.sequences)
    assert list(after.layers) == [0, 1, 2]
    for number, layer in before.layers.items():
        other = after.layers[number]
        assert other.labels == layer.labels
        for name in ("n_firings", "mean", "histogram", "promoted", "suppressed"):
            assert torch.equal(getattr(other, name), getattr(layer, name)), name
        for one, two in ((layer.strongest, other.strongest), (layer.sampled, other.sampled)):
            assert torch.equal(one.sequence, two.sequence) and torch.equal(one.pos, two.pos)
            assert torch.equal(one.window, two.window)
    for feature in (Feature(0, 0), Feature(2, 39)):
        assert after.profile(feature) == before.profile(feature)


def test_features_that_never_fire_read_back_too(tmp_path: Path):
    held = replacement("jumprelu")
    quiet = [
        replace(each, activation=type(each.activation)(torch.full((each.n_features,), 1e6)))
        for each in held.transcoders
    ]
    silent = replace(held, transcoders=replace(held.transcoders, layers=tuple(quiet)))
    before = survey(silent, sequences(4), FEW, precision="float32")
    save_survey(before, tmp_path / "s")
    profile = load_survey(tmp_path / "s").profile(Feature(1, 3))
    assert profile == before.profile(Feature(1, 3))
    assert (profile.n_firings, profile.strongest, profile.bars) == (0, (), ())
    assert profile.label.text.startswith("silent in this text")


def test_some_layers_can_be_read_alone(saved: Path):
    assert list(load_survey(saved, layers=[1, 5]).layers) == [1]


def test_a_survey_belongs_to_its_dictionaries_alone(saved: Path):
    found = load_survey(saved)
    check_belongs(found, replacement().transcoders)
    with pytest.raises(ArtifactError, match="made with the dictionaries “tiny relu”"):
        check_belongs(found, replacement("jumprelu").transcoders)


def test_a_folder_without_a_text_is_no_survey(saved: Path, tmp_path: Path):
    with pytest.raises(ArtifactError, match="holds no survey"):
        load_survey(tmp_path)
    half = tmp_path / "half"
    shutil.copytree(saved, half)
    (half / "L1.parquet").unlink()
    with pytest.raises(ArtifactError, match=r"L1\.parquet does not exist"):
        load_survey(half)


def test_writing_that_stops_leaves_no_survey(saved: Path, tmp_path: Path):
    """The text is written last, and taken away before anything else is written."""
    folder = tmp_path / "s"
    shutil.copytree(saved, folder)
    (folder / "L2.parquet").unlink()
    (folder / "L2.parquet").mkdir()
    with pytest.raises(ArtifactError, match=r"L2\.parquet is a folder"):
        save_survey(surveyed(), folder)
    with pytest.raises(ArtifactError, match="holds no survey"):
        load_survey(folder)


def test_a_table_of_another_survey_is_refused(saved: Path, tmp_path: Path):
    folder = tmp_path / "mixed"
    shutil.copytree(saved, folder)
    save_survey(surveyed("jumprelu"), tmp_path / "other")
    shutil.copy(tmp_path / "other" / "L2.parquet", folder / "L2.parquet")
    with pytest.raises(ArtifactError, match=r"L2\.parquet belongs to another survey"):
        load_survey(folder)


@pytest.mark.parametrize("change", ["column", "type", "length"])
def test_a_table_with_other_columns_is_refused(saved: Path, tmp_path: Path, change: str):
    folder = tmp_path / change
    shutil.copytree(saved, folder)
    table = read_table(folder / "L1.parquet", kind=LAYER, version=1).table
    match change:
        case "column":
            table = table.rename(columns={"mean": "average"})
        case "type":
            table["mean"] = table["mean"].astype("float64")
        case _:
            table["strongest_window"] = [row[:-1] for row in table["strongest_window"]]
    written = write_table(folder / "L1.parquet", kind=LAYER, version=1, table=table)
    text = read_table(folder / "text.parquet", kind="feature survey", version=1)
    header = dict(text.header)
    header["tables"] = {**dict(header["tables"]), "L1.parquet": written}  # type: ignore[arg-type]
    write_table(folder / "text.parquet", kind="feature survey", version=1, table=text.table, header=header)
    with pytest.raises(ArtifactError, match=r"L1\.parquet"):
        load_survey(folder)


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="is a file, but a survey is a folder"):
        save_survey(surveyed(), tmp_path / "file")


def test_the_survey_that_comes_along_belongs_to_the_set_that_comes_along() -> None:
    folder = shipped_survey("smollm2")
    assert folder is not None
    found = load_survey(folder, layers=[0, 29])
    check_belongs(found, load_transcoders("smollm2"))
    profile = found.profile(Feature(0, 1515))
    assert " French" in {context.tokens[context.peak].text for context in profile.strongest}
