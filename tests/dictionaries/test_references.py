import pytest

from circuitwise.dictionaries import PUBLISHED, Reference, load_transcoders, parse_reference
from circuitwise.dictionaries.references import parse_file_uri
from circuitwise.errors import DictionaryError


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("org/repo", Reference(repository="org/repo")),
        ("org/re-po.2@v1", Reference(repository="org/re-po.2", revision="v1")),
        ("org/repo//sub/deep", Reference(repository="org/repo", folder="sub/deep")),
        ("org/repo//sub@refs/pr/3", Reference(repository="org/repo", folder="sub", revision="refs/pr/3")),
        ("org/repo//blocks.5.hook_resid_pre", Reference(repository="org/repo", folder="blocks.5.hook_resid_pre")),
    ],
)
def test_a_reference_reads_back_as_it_is_written(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference
    assert str(reference) == text


@pytest.mark.parametrize("text", ["", "repo", "org/repo/sub", "org/repo//", "org/repo@", "a b/c", "org//repo", "/x/y"])
def test_what_is_no_reference_is_told_how_to_write_one(text: str) -> None:
    with pytest.raises(
        DictionaryError, match=r"is neither a folder .*org/repo//folder@revision\. Short names are smollm2, gemma,"
    ):
        parse_reference(text)


def test_wildcards_choose_sub_folders() -> None:
    reference = parse_reference("org/repo//all/layer_*_small/x")
    assert (reference.fixed, reference.pattern) == ("all", "layer_*_small/x")
    assert (parse_reference("org/repo//a/b").fixed, parse_reference("org/repo//a/b").pattern) == ("a/b", "")
    assert (parse_reference("org/repo").fixed, parse_reference("org/repo").pattern) == ("", "")
    assert (parse_reference("org/repo//layer_*").fixed, parse_reference("org/repo//layer_*").pattern) == ("", "layer_*")


def test_the_files_that_circuit_tracer_lists_are_references() -> None:
    found = parse_file_uri("hf://google/gemma-scope/layer_0/width_16k/params.npz?revision=abc")
    assert found == Reference(repository="google/gemma-scope", folder="layer_0/width_16k/params.npz", revision="abc")
    assert parse_file_uri("hf://a/b/c.npz") == Reference(repository="a/b", folder="c.npz")
    with pytest.raises(DictionaryError, match=r"“hf://a/b” is not the address of a file"):
        parse_file_uri("hf://a/b")


def test_every_short_name_is_a_reference_and_no_reference_is_a_short_name() -> None:
    for name, published in PUBLISHED.items():
        assert str(parse_reference(published.reference)) == published.reference
        assert "/" not in name and "/" in published.model


def test_a_name_that_nobody_published_lists_those_that_are() -> None:
    with pytest.raises(DictionaryError, match="“gema” is neither a folder on this machine, nor a short name"):
        load_transcoders("gema")
