"""The words around the code are true: links lead somewhere, blocks run, every command and public name is explained."""

import contextlib
import io
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import typer
import yaml

import circuitwise
from circuitwise.cli.app import app
from tests.promises import documents
from tests.promises.documents import Command
from tests.promises.source import ROOT

PAGES = documents.pages_of(ROOT)
DOCS = {page: text for page, text in PAGES.items() if page.startswith("docs/")}
README = PAGES["README.md"]
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
TESTED_ELSEWHERE = {"benchmarks", "promises", "report/test_browser.py"}


def commands_of(command: object, words: str) -> list[Command]:
    """A command and all below it, as the command line itself describes them."""
    options = {
        max(parameter.opts, key=len): str(getattr(parameter, "help", "") or "")
        for parameter in command.params
        if parameter.name not in ("help", "install_completion", "show_completion")
    }
    below = getattr(command, "commands", {})
    here = Command(words, command.help or "", options)
    return [here, *(found for name in below for found in commands_of(below[name], f"{words} {name}"))]


COMMANDS = commands_of(typer.main.get_command(app), "circuitwise")


def tracked_files() -> dict[str, str]:
    """The text files that git keeps or would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("This is no git checkout.")
    paths = [ROOT / name for name in listed.stdout.splitlines()]
    texts: dict[str, str] = {}
    for path in filter(Path.is_file, paths):
        with contextlib.suppress(UnicodeDecodeError):
            texts[path.relative_to(ROOT).as_posix()] = path.read_text("utf-8")
    return texts


def assert_none(broken: Iterable[str]) -> None:
    sentences = list(broken)
    assert not sentences, "\n".join(sentences)


def test_links_resolve() -> None:
    assert_none(documents.links_resolve(PAGES))
    broken = {"docs/a.md": "[x](gone.md) [y](../README.md#gone) [z](#gone)"}
    assert len(list(documents.links_resolve(broken))) == 3


def test_every_line_of_a_shell_block_can_be_typed() -> None:
    assert_none(documents.commands_in_blocks_exist(PAGES, COMMANDS, TARGETS))
    wrong = {"a.md": "```sh\nmake gone\ncircuitwise gone\ncircuitwise --gone\n```\n"}
    assert len(list(documents.commands_in_blocks_exist(wrong, COMMANDS, TARGETS))) == 3


def test_every_command_and_option_is_documented_and_has_help() -> None:
    assert len(COMMANDS) > 1
    assert_none(documents.commands_are_documented(COMMANDS, DOCS["docs/cli.md"]))
    bare = [Command("circuitwise x", "", {"--y": ""}), Command("circuitwise z", "Z.", {})]
    assert len(list(documents.commands_are_documented(bare, "## `circuitwise x`\n"))) == 4


def test_every_public_name_is_documented() -> None:
    assert_none(documents.names_are_documented(circuitwise.__all__, DOCS))
    assert list(documents.names_are_documented(["walk", "to"], {"a.md": "to walk: `tone`, `walk(x)`"})) != []
    assert list(documents.names_are_documented(["walk"], {"a.md": "`cw.walk(x)`"})) == []


def test_every_public_name_exists() -> None:
    assert [name for name in circuitwise.__all__ if not hasattr(circuitwise, name)] == []


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.weights
def test_the_examples_of_the_readme_run_and_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    following = [*documents.blocks(README)[1:], ("", "")]
    n_run = 0
    for (language, content), (next_language, shown) in zip(documents.blocks(README), following, strict=True):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(content, "README.md", "exec"), namespace)
            if next_language == "text":
                assert printed.getvalue() == shown
            n_run += 1
    assert n_run > 0


@pytest.mark.weights
@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_every_example_runs(example: Path, tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout != ""


def test_nothing_names_one_machine_or_a_package_registry() -> None:
    assert_none(documents.nothing_names_this_machine(tracked_files()))
    planted = {"a": "see /" + "work/x", "b": "https://py" + "pi.org/x"}
    assert len(list(documents.nothing_names_this_machine(planted))) == 2


def test_tests_mirror_the_source() -> None:
    tests = [path.relative_to(ROOT / "tests").as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    source = ROOT / "src/circuitwise"
    modules = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    assert_none(documents.tests_mirror_the_source(tests, modules, TESTED_ELSEWHERE))
    assert len(list(documents.tests_mirror_the_source(["model/test_gone.py"], modules, TESTED_ELSEWHERE))) == 1


def test_licence_and_citation_agree_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License")
    assert project["license"] == citation["license"] == "MIT"
    assert project["version"] == citation["version"]
    assert project["name"] == citation["title"]
    assert f"## {project['version']}" in PAGES["CHANGELOG.md"]
    assert (ROOT / "src/circuitwise/py.typed").exists()


def test_what_the_package_asks_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    names = {re.split(r"[\[<>=~!]", requirement)[0] for requirement in asked}
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    assert names - pinned == set()


def test_the_contributing_guide_has_three_commands() -> None:
    shell = "".join(content for language, content in documents.blocks(PAGES["CONTRIBUTING.md"]) if language == "sh")
    assert len(shell.splitlines()) == 3
