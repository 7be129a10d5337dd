"""The script that asks ESA what nobody knows yet, run as people run it, with a simulated ESA whose answers differ."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from support.manifests import ROOT
from support.simulator import SITE_ID, SimulatorProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY, SECRET = "planted-key-id-0815", "planted-key-secret-0815"
EARLY: Final = 30
"""Seconds that the simulated ESA is ahead, so that a window of now runs at once."""
PAGE: Final = (ROOT / "docs" / "open-questions.md").read_text()
YES, NO, UNCLEAR = "yes", "no", "unclear"
CREATE, DELETE, LIST = "CreateScheduledPreloadJob", "DeleteScheduledPreloadJob", "ListScheduledPreloadJobs"


@pytest.fixture
def esa() -> Iterator[SimulatorProcess]:
    with SimulatorProcess("--speed", "20") as running:  # three seconds between two batches
        running.clock(advance_seconds=EARLY)
        running.add_credentials([{"accessKeyId": KEY, "accessKeySecret": SECRET}])
        yield running


@dataclass
class Asking:
    """One run of the script."""

    esa: SimulatorProcess
    folder: Path
    more: dict[str, str] = field(default_factory=lambda: {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": SECRET
    })  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        urls = [f"--url=https://www.example.com/{number}" for number in range(3)]
        command = [sys.executable, str(ROOT / "hack" / "open_questions.py"), f"--site={SITE_ID}", *urls]
        command += [f"--endpoint={self.esa.url}", "--patience=8", "--rate=100", f"--output={self.output}", *words]
        return subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], **self.more}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    @property
    def output(self) -> Path:
        return self.folder / "answers.json"

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Return code, stdout and stderr, in which no credential stands."""
        out, err = process.communicate(timeout=90)
        written = self.output.read_text() if self.output.exists() else ""
        assert not re.search(f"{KEY}|{SECRET}", out + err + written)
        return process.returncode, out, err

    def run(self, *words: str) -> tuple[int, str, str]:
        return self.ended(self.start(*words))

    def answers(self, *words: str) -> dict[str, str]:
        """Return the answers of a run that asks all."""
        code, _, err = self.run("--yes", *words)
        assert (code, err) == (0, "")
        assert self.esa.jobs() == []
        return {each["key"]: each["answer"] for each in self.written()["answers"]}

    def written(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.output.read_text())
        return found


@pytest.fixture
def asking(esa: SimulatorProcess, tmp_path: Path) -> Asking:
    return Asking(esa, tmp_path)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_an_esa_that_does_what_the_operator_expects_is_told_so(asking: Asking) -> None:
    asking.esa.settings(siteDomains={str(SITE_ID): ["www.example.com"]})
    answers = asking.answers()
    others = {key: answer for key, answer in answers.items() if answer != YES}
    assert others == {"same-name": NO, "finished": NO}
    about = asking.written()
    assert (about["site"], about["endpoint"], about["left"]) == (SITE_ID, asking.esa.url, [])


def test_the_page_lists_the_questions_in_the_order_in_which_they_are_asked(asking: Asking) -> None:
    asking.esa.settings(inactiveSites=[SITE_ID])
    asking.run("--yes", "--patience=1")
    asked = {each["key"]: each["question"] for each in asking.written()["answers"]}
    rows = re.findall(r"(?m)^\| `([\w-]+)` \| ([^|]+) \|", PAGE)
    assert rows == list(asked.items())


def test_the_command_of_the_page_asks_the_questions(asking: Asking) -> None:
    (block,) = re.findall(r"(?ms)^```text\n(.*?)```", PAGE)
    export, *command = shlex.split(block.replace("\\\n", " "))
    assert (export, *(each.split("=")[0] for each in command[:2])) == ("export", *asking.more)
    words = [each.replace("china", asking.esa.url) for each in command[4:]]
    process = subprocess.run(
        [sys.executable, ROOT / command[3], *words, "--yes", "--without-windows", "--patience=1", "--rate=100"],
        env={"PATH": os.environ["PATH"], **asking.more}, cwd=asking.folder, check=False,
    )  # fmt: skip
    assert (command[2], process.returncode) == (".venv/bin/python", 0)
    assert asking.written()["answers"]


def test_an_esa_that_does_otherwise_with_jobs_is_told_so(asking: Asking) -> None:
    asking.esa.fault("lag", seconds=4, times=None)
    asking.esa.fault("override", action=LIST, times=None, fields={"TotalCount": "7"}, item_fields={"ExecutionCount": 4})
    asking.esa.fault("override", action=CREATE, times=None, fields={"Name": "shortened"})
    asking.esa.settings(maxJobsPerSite=1)
    asking.esa.clock(advance_seconds=600)
    answers = asking.answers("--without-windows")
    doubtful = ("same-name", "delisted", "gone", "foreign", "nonce-refused")
    assert {key for key, answer in answers.items() if answer == UNCLEAR} == {*doubtful} - {"foreign"}
    assert {key for key, answer in answers.items() if answer == NO} == {
        "name", "list", "clock", "total", "plans", "foreign"
    }  # fmt: skip
    (evidence,) = (each["evidence"] for each in asking.written()["answers"] if each["key"] == "list")
    assert re.fullmatch(r"after \d+\.\d s", evidence)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"afterReset": "revive"}, {"finished": YES}),
        ({"afterReset": "stop"}, {"running": UNCLEAR, "stop": UNCLEAR, "finished": UNCLEAR}),
        ({"inactiveSites": [SITE_ID]}, {"runs": NO, "lowers": UNCLEAR, "fresh": UNCLEAR, "with-windows": YES}),
    ],
)
def test_what_windows_do_is_told_as_it_is(asking: Asking, setting: dict[str, Any], expected: dict[str, str]) -> None:
    asking.esa.settings(**setting)
    answers = asking.answers()
    assert {key: answers[key] for key in expected} == expected


def test_a_reset_that_lowers_nothing_and_a_list_that_is_behind_are_told(asking: Asking) -> None:
    for action in ("ResetScheduledPreloadJob", "GetScheduledPreloadJob"):
        asking.esa.fault("override", action=action, times=None, fields={"UrlSubmitted": 2})
    asking.esa.fault("override", action=LIST, times=None, item_fields={"UrlSubmitted": 9})
    answers = asking.answers()
    assert (answers["lowers"], answers["fresh"]) == (NO, NO)


def test_a_question_whose_call_fails_is_unclear_and_the_others_are_asked(asking: Asking) -> None:
    asking.esa.fault("drop_after", action="ResetScheduledPreloadJob")
    answers = asking.answers("--without-windows")
    assert (answers["idle-reset"], answers["nonce"]) == (UNCLEAR, YES)


# --- what is left behind ----------------------------------------------------------------------------------------------


def test_nobody_who_has_not_agreed_gets_more_than_the_announcement(asking: Asking) -> None:
    code, out, err = asking.run()
    assert code == 1
    assert "up to four jobs are made" in out
    assert "counts against the prefetch quota" in out
    assert "nothing was made" in err
    assert asking.esa.calls() == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("action", [CREATE, "GetScheduledPreloadJob"])
def test_an_interrupted_run_deletes_its_job_and_prints_what_it_knows(
    asking: Asking, ending: signal.Signals, action: str
) -> None:
    asking.esa.seed_jobs([{"name": "somebody-else", "siteId": SITE_ID}])
    asking.esa.fault("hang", action=action, when="after")
    process = asking.start("--yes")
    deadline = time.monotonic() + 30
    while len(asking.esa.jobs()) < 2 or not asking.esa.calls(action):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(ending)
    code, out, _ = asking.ended(process)
    assert code == 130
    assert "not asked  Is TotalCount" in out
    assert [each["name"] for each in asking.esa.jobs()] == ["somebody-else"]
    assert asking.written()["left"] == []


def test_a_job_whose_create_was_unanswered_is_found_and_deleted(asking: Asking) -> None:
    asking.esa.fault("drop_after", action=CREATE)
    code, _, err = asking.run("--yes")
    assert code == 1
    assert "the job to ask about could not be made: CreateScheduledPreloadJob: AnswerLost" in err
    assert len(asking.esa.calls(CREATE)) == 1
    assert asking.esa.jobs() == []


def test_a_job_that_cannot_be_deleted_is_named(asking: Asking) -> None:
    asking.esa.fault("refuse", action=DELETE, status=400, code="UnsupportedOperation", times=None)
    code, _, err = asking.run("--yes", "--without-windows", "--patience=1")
    left = {each["id"] for each in asking.esa.jobs()}
    assert code == 1
    assert left
    assert set(re.findall(r"job (\w+) could not be deleted", err)) == left == set(asking.written()["left"])


@pytest.mark.parametrize(
    ("more", "words", "why"),
    [
        ({}, (), "set ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ({"ALIBABA_CLOUD_ACCESS_KEY_ID": KEY}, (), "ALIBABA_CLOUD_ACCESS_KEY_SECRET is not set"),
        (None, ("--site=0",), "above 0"),
        (None, ("--output=missing/answers.json",), "there is no folder missing"),
        (None, ("--endpoint=http://esa.example.com",), "https://"),
    ],
)
def test_a_run_that_cannot_begin_says_why_and_asks_nothing(
    asking: Asking, more: dict[str, str] | None, words: tuple[str, ...], why: str
) -> None:
    asking.more = asking.more if more is None else more
    code, _, err = asking.run("--yes", *words)
    assert code == 2
    assert why in err
    assert asking.esa.calls() == []
