"""Studies that are killed: somewhere in the middle, or at the very moment when a file takes its place."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuitwise.study.plan import STAGES
from circuitwise.study.run import Run
from tests.cli.words import files
from tests.study.material import ALONE, STUDY, carry_out, study_command

NEVER = 10**9
AT_A_WRITE = """
import os, signal, sys
wanted, folder, written = int(sys.argv[1]), sys.argv[3], []
def watch(event, arguments):
    if event == "os.rename" and str(arguments[1]).startswith(folder):
        if len(written) == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(os.path.relpath(arguments[1], folder))
sys.addaudithook(watch)
del sys.argv[1]
"""
"""Kills its own process when one more file is about to take its place; an audit hook sees that before it is done."""


def lasting(folder: Path) -> dict[str, bytes]:
    """Every file of a run but those that hold times or belong to a process."""
    return {
        name: content
        for name, content in files(folder).items()
        if name not in ("manifest.json", ".lock") and ".partial" not in name
    }


def stamps(folder: Path) -> dict[str, int]:
    """When every kept result was written."""
    kept = [path for path in (folder / ".store").rglob("*.*") if path.is_file() and path.suffix != ".partial"]
    return {path.name: path.stat().st_mtime_ns for path in kept}


def n_kept(folder: Path) -> dict[str, int]:
    """How many results of each kind are kept; records of stages are none."""
    kinds = [path for path in (folder / ".store").glob("*") if path.is_dir() and path.name != "stage"]
    return {kind.name: n for kind in kinds if (n := len([each for each in kind.iterdir() if each.name[0] != "."]))}


def settled(folder: Path) -> dict[str, int]:
    """When the files of finished stages were written."""
    records: list[Any] = [json.loads(path.read_bytes()) for path in (folder / ".store/stage").glob("*.json")]
    return {name: (folder / name).stat().st_mtime_ns for record in records for name in record["files"]}


def stage_of(folder: Path) -> str:
    """The stage that a study was in when it ended, by what its last one recorded as finished."""
    if not (folder / "manifest.json").is_file():
        return "before the first"
    states = Run(folder).manifest.behaviours["tiny"]
    return next((stage for stage in STAGES if stage not in states or not states[stage].finished), "after the last")


def kill(plan: Path, folder: Path, n_results: int, pause: float, stages: list[str]) -> None:
    """Start a study in a process of its own and kill it some seconds after so many results were kept.

    Results are counted, not seconds, since a machine is not always equally fast.
    """
    process = subprocess.Popen(study_command(plan, folder, stages), env=ALONE, stderr=subprocess.DEVNULL)
    while process.poll() is None and sum(n_kept(folder).values()) < n_results:
        time.sleep(0.01)
    time.sleep(pause)
    process.kill()
    process.wait()


def kill_at_write(plan: Path, folder: Path, wanted: int, stages: list[str]) -> list[str]:
    """Run a study that dies when so many files are in their place and the next one is written; those, if it ends."""
    script = f"{AT_A_WRITE}\n{STUDY}\nimport json; print(json.dumps(written))"
    command = [sys.executable, "-c", script, str(wanted), str(plan), str(folder), *stages]
    done = subprocess.run(command, env=ALONE, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if wanted == NEVER else -9), done.stderr
    return json.loads(done.stdout) if wanted == NEVER else []


@dataclass(frozen=True, slots=True)
class Whole:
    """What an uninterrupted study comes to."""

    files: dict[str, bytes]
    """All that lasts."""
    kept: dict[str, int]
    """How many results of each kind."""


def whole(folder: Path) -> Whole:
    return Whole(lasting(folder), n_kept(folder))


def check_resumed(plan: Path, folder: Path, stages: list[str], expected: Whole) -> bool:
    """The study goes on to the same bytes; no result and no finished stage's file is made a second time.

    Whether anything was left to do.
    """
    before, kept, finished = stamps(folder), n_kept(folder), settled(folder)
    carry_out(plan, folder, stages)
    after, made = stamps(folder), Run(folder).manifest.made
    assert {name: after[name] for name in before} == before, "a kept result was written again"
    assert {kind: kept.get(kind, 0) + made.get(kind, 0) for kind in expected.kept} == expected.kept
    assert {name: settled(folder)[name] for name in finished} == finished, "a finished stage was run again"
    assert lasting(folder) == expected.files and not list(folder.rglob("*.partial"))
    return len(after) > len(before)
