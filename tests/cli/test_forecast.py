"""A forecast says in words and in JSON what a study needs, and what of that comes from a table."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from circuitwise.cli.forecast import draw_forecast, forecast_value, span, told_by_table
from circuitwise.study.forecast import Forecast, forecast
from circuitwise.study.plan import Chosen, Plan

PLAN = Plan(name="q", model="Qwen/Qwen3-4B", transcoders="qwen3-4b", suites=(Chosen(suite="capitals"),))


@pytest.fixture(scope="module")
def found() -> Forecast:
    return forecast(PLAN)


def drawn(plan: Plan, found: Forecast) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        draw_forecast(console, plan, found)
    return capture.get()


def test_words_say_what_comes_from_a_table_and_what_is_to_be_downloaded(found: Forecast) -> None:
    told = drawn(PLAN, found)
    for words in (
        "capitals: 84 prompts to find a circuit on, 36 to test it on.",
        "The config.json of Qwen/Qwen3-4B could be read neither from the cache nor from the hub.",
        "comes from circuitwise's table of published models: 4.02 billion weights, 36 layers, d_model 2560.",
        "Neither the cache nor the hub says how big qwen3-4b is",
        "To be downloaded: 8.0 GB for the model and 60.4 GB for the dictionaries.",
        "of weights",
    ):
        assert words in told


def test_json_says_it_too(found: Forecast) -> None:
    value = json.loads(json.dumps(forecast_value(PLAN, found)))
    assert value["from_table"] == {"model": True, "transcoders": True}
    assert value["model_bytes"] == 8_044_936_192 and value["transcoders_bytes"] == found.dictionaries.n_bytes
    assert value["bytes_needed"] == value["bytes"] - (0 if value["bytes_on_device"] else value["transcoders_bytes"])
    assert value["total_seconds"] == pytest.approx(sum(value["seconds"].values()))


def test_what_was_read_is_not_said_to_be_from_a_table(found: Forecast) -> None:
    read = replace(
        found, model=replace(found.model, known=False), dictionaries=replace(found.dictionaries, known=False)
    )
    assert "table" not in drawn(PLAN, read) and "downloaded" not in drawn(PLAN, read)
    assert list(told_by_table("m", read.model, "", None)) == []
    assert forecast_value(PLAN, read)["from_table"] == {"model": False, "transcoders": False}


def test_mapped_dictionaries_come_on_top_on_a_processor_and_are_held_by_an_accelerator(found: Forecast) -> None:
    here = replace(found, memory=replace(found.memory, device="cpu", mapped=True))
    assert "come on top with 60.4 GB of mapped files" in drawn(PLAN, here)
    there = replace(found, memory=replace(found.memory, device="cuda"))
    told = drawn(PLAN, there)
    assert "on cuda" in told and "60.4 GB of dictionaries" in told and "mapped" not in told
    unpacked = replace(found, memory=replace(found.memory, device="cpu", mapped=False))
    assert "60.4 GB of dictionaries" in drawn(PLAN, unpacked) and "mapped" not in drawn(PLAN, unpacked)


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.0, "3 s"), (600.0, "10 min"), (7200.0, "2.0 h"), (864_000.0, "10.0 days")]
)
def test_times_are_as_people_read_them(seconds: float, words: str) -> None:
    assert span(seconds) == words
