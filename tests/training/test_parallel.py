"""Two processes train one set: the one that a single process trains, the same in both, on again after a kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from circuitwise.dictionaries.activations import TopK
from circuitwise.dictionaries.loading import load_transcoders
from circuitwise.errors import RequestError
from circuitwise.training.learner import Learner
from circuitwise.training.packing import pack
from circuitwise.training.parallel import ALONE, Company, Together, company_on
from circuitwise.training.pool import Pool, measure_scales
from circuitwise.training.recipe import Revival, parts_of
from circuitwise.training.start import start_weights
from circuitwise.training.train import train
from tests.training.material import reading_model, some_texts
from tests.training.test_train import SMALL, assert_equal

SHARED = replace(
    SMALL, sparsity=TopK(4), batch=160, n_tokens=160 * 25, precision="float32", revival=Revival(after=10**6)
)
"""Nothing dies: revival looks at a process' own tokens only."""


def train_by_hand(folder: Path, company: Company) -> dict[str, Tensor]:
    """What one process has after all steps: weights, and for how long each feature has been silent."""
    model = reading_model()
    sequences = pack(model, some_texts(), context=16, seed=0, path=folder / f"text {company.rank} {company.size}")
    parts = parts_of(SHARED, model)
    sites = sorted({site for part in parts for site in (part.read, *part.writes)})
    pool = Pool(model, sequences, measure_scales(model, sequences, sites, SHARED), SHARED, company)
    learners = [Learner((start_weights(part, pool, SHARED),), SHARED, company) for part in parts]
    found: dict[str, Tensor] = {}
    for step in range(SHARED.n_steps):
        places = pool.mine(pool.draw(step))
        for learner in learners:
            learner.learn({site: pool.at(site, places) for site in learner.read_and_written()}, step)
    for learner in learners:
        found |= learner.tensors() | {f"{learner.sites[0]}.silent": learner.silent[0]}
        found[f"{learner.sites[0]}.unexplained"] = learner.report().unexplained
    found |= {"held": torch.tensor(len(pool.at(sites[0], pool.mine(torch.arange(pool.n_tokens)))))}
    save_file(found, folder / f"rank{company.rank} of {company.size}.safetensors")
    return found


CHILD = """
import sys, torch
from pathlib import Path
from tests.training import test_parallel as own
torch.set_num_threads(1)
model, folder = own.reading_model(), Path(sys.argv[1])
company = own.company_on(model.device)
if sys.argv[2] == "by hand":
    own.train_by_hand(folder, company)
own.train(model, own.some_texts(), own.SHARED, folder / "set", seconds_between_checkpoints=float(sys.argv[3]))
"""


def start_two(folder: Path, what: str = "", seconds_between_checkpoints: float = 1e9) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(exist_ok=True)
    words = [sys.executable, "-c", CHILD, str(folder), what, str(seconds_between_checkpoints)]
    start = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [subprocess.Popen(words, env=os.environ | start | {"RANK": str(rank)}) for rank in range(2)]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    assert [child.wait() for child in start_two(folder, "by hand")] == [0, 0]
    return folder


def test_both_processes_end_with_the_same_weights_and_those_are_the_ones_of_a_single_process(
    together: Path, tmp_path: Path
) -> None:
    first, second = (load_file(together / f"rank{rank} of 2.safetensors") for rank in range(2))
    alone = train_by_hand(tmp_path, ALONE)
    assert int(first.pop("held")) + int(second.pop("held")) == int(alone.pop("held"))
    assert set(first) == set(second) == set(alone)
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name]), name
        if name.endswith("silent"):  # the same features fired on the same tokens
            assert torch.equal(first[name], expected) and int((expected == 0).sum()) > 0
        else:
            torch.testing.assert_close(first[name], expected, rtol=1e-3, atol=1e-4)


def test_the_set_of_two_processes_is_the_one_of_a_single_process(together: Path, tmp_path: Path) -> None:
    alone = train(reading_model(), some_texts(), SHARED, tmp_path / "alone")
    for one, other in zip(load_transcoders(together / "set" / "set"), alone, strict=True):
        torch.testing.assert_close(one.encoder, other.encoder, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(one.decoder, other.decoder, rtol=1e-3, atol=1e-4)
    assert sorted(path.name for path in (together / "set").iterdir()) == ["set", "text.safetensors", "training.json"]


def test_two_killed_processes_go_on_to_the_bit(together: Path, tmp_path: Path) -> None:
    children = start_two(tmp_path, seconds_between_checkpoints=0.0)
    until = time.monotonic() + 100
    while not (tmp_path / "set" / "checkpoint.safetensors").exists() and time.monotonic() < until:
        assert children[0].poll() is None
        time.sleep(0.01)
    for child in children:
        child.send_signal(signal.SIGKILL)
    assert [child.wait() for child in children] == [-signal.SIGKILL, -signal.SIGKILL]
    assert not (tmp_path / "set" / "set").exists()
    assert [child.wait() for child in start_two(tmp_path)] == [0, 0]
    assert_equal(load_transcoders(tmp_path / "set" / "set"), load_transcoders(together / "set" / "set"))


def test_a_process_that_was_not_started_with_others_is_alone() -> None:
    assert company_on(torch.device("cpu")) == ALONE
    assert ALONE.all_go_on(True) and not ALONE.all_go_on(False)


def test_too_many_processes_for_a_step_are_refused(tmp_path: Path) -> None:
    model = reading_model()
    sequences = pack(model, some_texts(), context=16, seed=0, path=tmp_path / "text")
    scales = measure_scales(model, sequences, [parts_of(SHARED, model)[0].read], SHARED)
    with pytest.raises(RequestError, match="4 processes cannot share steps of 160 tokens"):
        Pool(model, sequences, scales, SHARED, Together(0, 4, model.device))
