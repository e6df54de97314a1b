"""A text model's label is tested on contexts that it did not see, and a failing endpoint is one sentence."""

import json
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from circuitwise.errors import RequestError
from circuitwise.features import describing
from circuitwise.features.describing import Rate, describe, endpoint
from circuitwise.features.labels import Label
from circuitwise.features.profile import Context, Profile, Token
from circuitwise.vocabulary import Feature

KEY = "sk-secret"


def context(sequence: int, word: str) -> Context:
    tokens = (Token(1, "see"), Token(2, f" {word}{sequence}"))
    return Context(sequence=sequence, start=0, tokens=tokens, activations=(0.0, 1.0), peak=1)


PROFILE = Profile(
    feature=Feature(0, 1),
    promoted=(Token(3, " meow"),),
    suppressed=(),
    label=Label(text="unclear", share=0.0),
    strongest=tuple(context(place, "cat") for place in range(3)),
    quintiles=(tuple(context(place, "cat") for place in range(2, 9)),),
)
OTHERS = [context(place, "dog") for place in range(8, 15)]


@contextmanager
def serving(answer: Callable[[str], str], status: int = 200) -> Generator[tuple[str, list[str]]]:
    """A server on this machine; what it was sent as authorization."""
    keys: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers["Authorization"])
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = answer(sent["messages"][0]["content"])
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [{"message": {"content": content}}]}).encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", keys
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def rightly(prompt: str) -> str:
    if prompt.startswith("A feature"):
        return f"  {'cats' * 30}\nand more"
    return ", ".join(re.findall(r"^(\d+)\. see cat", prompt, re.MULTILINE))


def test_a_right_answer_scores_one_on_contexts_that_were_not_shown_and_the_key_is_a_bearer():
    with serving(rightly) as (url, keys):
        found = describe(PROFILE, endpoint(url, "m", KEY), others=OTHERS)
    assert found.text == ("cats" * 30)[:80] and found.score == 1.0
    assert (found.found.n, found.rejected.n) == (6, 6)  # one was shown; one of the others lies where this one fires
    assert keys == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize("answer", ["none", ", ".join(map(str, range(1, 13)))])
def test_naming_nothing_or_everything_is_chance(answer: str):
    assert describe(PROFILE, lambda _: answer, others=OTHERS).score == 0.5


@pytest.mark.parametrize("answer", ["perhaps 3", "13", "0", ",", "bananas"])
def test_an_answer_that_is_no_list_of_numbers_is_refused(answer: str):
    with pytest.raises(RequestError, match="asked for numbers from 1 to 12 and answered"):
        describe(PROFILE, lambda _: answer, others=OTHERS)


def test_the_seed_decides_the_order_and_only_the_label_prompt_is_marked():
    def asked(seed: int) -> list[str]:
        prompts: list[str] = []
        describe(PROFILE, lambda text: prompts.append(text) or "none", others=OTHERS, seed=seed)
        return prompts

    assert asked(1) == asked(1) and asked(1)[1] != asked(2)[1]
    assert "see« cat0»" in asked(1)[0] and "meow" in asked(1)[0] and "«" not in asked(1)[1]


@pytest.mark.parametrize("status", [302, 401, 500])
def test_a_status_that_is_no_answer_is_one_sentence_without_the_key(status: int):
    with serving(rightly, status) as (url, keys), pytest.raises(RequestError, match=f"status {status}") as caught:
        endpoint(url, "m", KEY)("hello")
    assert KEY not in str(caught.value) and len(keys) == 1


def test_what_cannot_be_asked_is_refused_without_the_key(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(RequestError, match="cannot be asked") as caught:
        endpoint("http://127.0.0.1:1", "m", f"{KEY}\n")("hello")
    assert KEY not in str(caught.value)
    with pytest.raises(RequestError, match="cannot be reached"):
        endpoint("http://127.0.0.1:1", "m", KEY)("hello")
    with pytest.raises(RequestError, match="begins with http"):
        endpoint("file:///etc", "m", KEY)
    monkeypatch.setattr(describing, "SECONDS", 0.1)
    wait = threading.Event()
    with serving(lambda _: str(wait.wait(0.4))) as (url, _), pytest.raises(RequestError, match="did not answer"):
        endpoint(url, "m", KEY)("hello")


def test_wilsons_interval_is_the_known_one():
    assert Rate(right=8, n=10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
