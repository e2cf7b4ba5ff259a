"""The reaper: what a process left is removed when the process ended by itself, by an error, or was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from weighin.runner import reaper

LONGEST = 20.0
"""Seconds after which a test gives up."""
SLEEP = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
OBEDIENT = f"print(1, flush=True); {SLEEP}"


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Group:
    """A process group of its own, whose end is waited for at once, as the runner does."""

    def __init__(self, code: str) -> None:
        command = [sys.executable, "-I", "-S", "-c", code]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()
        self.number = self.process.pid
        self.waiting = threading.Thread(target=self.process.wait, daemon=True)
        self.waiting.start()

    def ended_by(self) -> int:
        """The signal that ended the process."""
        self.waiting.join(LONGEST)
        return -int(self.process.returncode)


@pytest.fixture
def group() -> Iterator[Callable[[str], Group]]:
    made: list[Group] = []

    def make(code: str) -> Group:
        made.append(Group(code))
        return made[-1]

    yield make
    for each in made:
        if each.process.returncode is None:
            each.process.kill()
        each.waiting.join(LONGEST)
        assert each.process.stdout is not None
        each.process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file in a folder."""
    found = tmp_path / "work"
    (found / "deep").mkdir(parents=True)
    (found / "deep/file").write_text("content")
    return found


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In place of Docker a program that writes its arguments down, one call a line; returns the file of the calls."""
    calls, bin_ = tmp_path / "calls", tmp_path / "bin"
    bin_.mkdir()
    program = bin_ / "docker"
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    calls.touch()
    return calls


# --- to clean


def test_a_group_that_obeys_is_asked_to_end_and_its_folder_is_removed(
    group: Callable[[str], Group], folder: Path
) -> None:
    one, other = group(OBEDIENT), group(OBEDIENT)
    started = time.monotonic()
    reaper.clean("group", str(folder), [one.number])
    assert time.monotonic() - started < reaper.PATIENCE_SECONDS
    assert one.ended_by() == signal.SIGTERM
    assert not folder.exists()
    assert runs(other.process.pid)


def test_a_group_that_does_not_obey_is_killed_after_a_while(
    group: Callable[[str], Group], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "PATIENCE_SECONDS", 0.3)
    stubborn = group(STUBBORN)
    started = time.monotonic()
    reaper.clean("group", str(folder), [stubborn.number])
    assert time.monotonic() - started >= 0.3
    assert stubborn.ended_by() == signal.SIGKILL
    assert not folder.exists()


def test_a_process_that_the_group_started_ends_with_it(group: Callable[[str], Group], folder: Path) -> None:
    code = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}], stdout=-3)\n"
    code += f"open({str(folder / 'pid')!r}, 'w').write(str(p.pid)); {OBEDIENT}"
    parent = group(code)
    child = int((folder / "pid").read_text())
    assert runs(child)
    reaper.clean("group", str(folder), [parent.number])
    assert within(LONGEST, lambda: not runs(child))


def test_what_is_gone_already_is_no_error(group: Callable[[str], Group], folder: Path) -> None:
    gone = group("print(1, flush=True)")
    gone.waiting.join(LONGEST)
    reaper.clean("group", str(folder), [gone.number])
    assert not folder.exists()
    reaper.clean("group", str(folder), [gone.number])


def test_a_container_is_removed_with_its_volumes(docker: Path, folder: Path) -> None:
    reaper.clean("container", "weighin-model")
    assert docker.read_text() == "rm --force --volumes weighin-model\n"
    assert folder.exists()


def test_an_engine_that_is_absent_or_does_not_answer_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    reaper.clean("container", "weighin-model")

    def hangs(command: list[str], **options: object) -> None:
        assert options["timeout"] == 60
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(subprocess, "run", hangs)
    reaper.clean("container", "weighin-model")


# --- around a block


def reapers(folder: Path) -> list[psutil.Process]:
    """The reapers of a folder that run below this process."""
    return [p for p in psutil.Process().children(recursive=True) if {str(folder), "group"} <= set(said(p))]


def said(process: psutil.Process) -> list[str]:
    """The command line of a process; nothing of one that has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def the_reaper(folder: Path) -> psutil.Process:
    """The one reaper of a folder. For a moment after its start the system shows a process without a command line."""
    assert within(LONGEST, lambda: len(reapers(folder)) == 1)
    (found,) = reapers(folder)
    return found


def test_the_end_of_a_block_cleans_up_and_ends_the_reaper(group: Callable[[str], Group], folder: Path) -> None:
    one = group(OBEDIENT)
    with reaper.reaped("group", str(folder)) as tell:
        tell(one.number)
        process = the_reaper(folder)
        assert process.cmdline()[1:4] == ["-I", "-S", str(Path(reaper.__file__).resolve())]
        assert os.getsid(process.pid) == process.pid
        assert folder.exists()
    assert one.ended_by() == signal.SIGTERM
    assert not folder.exists()
    assert not process.is_running()


def test_an_error_in_a_block_cleans_up_and_is_raised(group: Callable[[str], Group], folder: Path) -> None:
    one = group(OBEDIENT)

    def works() -> None:
        with reaper.reaped("group", str(folder)) as tell:
            tell(one.number)
            raise KeyError("wrong")

    with pytest.raises(KeyError, match="wrong"):
        works()
    assert one.ended_by() == signal.SIGTERM
    assert not folder.exists()
    assert reapers(folder) == []


def test_a_reaper_that_was_killed_is_no_error(group: Callable[[str], Group], folder: Path) -> None:
    one = group(OBEDIENT)
    with reaper.reaped("group", str(folder)) as tell:
        process = the_reaper(folder)
        process.kill()
        assert within(LONGEST, lambda: not runs(process.pid))
        tell(one.number)
    assert one.ended_by() == signal.SIGTERM
    assert not folder.exists()


PARENT = """
import subprocess, sys, time
sys.path.insert(0, {path!r})
from weighin.runner import reaper
reaper.PATIENCE_SECONDS = 0.2
with reaper.reaped("group", {folder!r}) as tell:
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", {sleep!r}], start_new_session=True)
    tell(child.pid)
    print(child.pid, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_who_is_killed_with_its_whole_group_leaves_nothing(sign: signal.Signals, folder: Path) -> None:
    path = str(Path(reaper.__file__).resolve().parents[2])
    code = PARENT.format(path=path, sleep=SLEEP, folder=str(folder))
    command = [sys.executable, "-P", "-c", code]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert runs(child)
        # Of a terminal each process of the group gets the signal, the reaper not.
        os.killpg(parent.pid, sign)
        assert parent.wait(LONGEST) != 0
        assert within(LONGEST, lambda: not runs(child) and not folder.exists())
    finally:
        parent.kill()
        parent.wait(LONGEST)
        assert parent.stdout is not None
        parent.stdout.close()


# --- the program


class Program:
    """A reaper as a program, with its standard input in our hands."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-I", "-S", reaper.__file__, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def end(self, said: bytes = b"") -> int:
        """Close its standard input after these bytes, and wait for its exit code."""
        self.process.communicate(said, timeout=LONGEST)
        return self.process.returncode


def test_a_reaper_whose_parent_has_cleaned_up_does_nothing(group: Callable[[str], Group], folder: Path) -> None:
    one = group(OBEDIENT)
    assert Program("group", str(folder)).end(b"%d\ncleaned" % one.number) == 0
    assert folder.exists()
    assert runs(one.process.pid)


@pytest.mark.parametrize("said", [b"", b"clean", b"cleaned\n"])
def test_a_reaper_whose_parent_has_said_anything_else_cleans_up(
    said: bytes, group: Callable[[str], Group], folder: Path
) -> None:
    one = group(OBEDIENT)
    assert Program("group", str(folder)).end(b"%d\n" % one.number + said) == 0
    assert not folder.exists()
    assert one.ended_by() == signal.SIGTERM


def test_a_reaper_that_was_told_of_no_process_removes_the_folder(folder: Path) -> None:
    assert Program("group", str(folder)).end() == 0
    assert not folder.exists()


def test_a_reaper_ends_every_group_that_it_was_told_of(group: Callable[[str], Group], folder: Path) -> None:
    groups = [group(OBEDIENT) for _ in range(3)]
    said = b"".join(b"%d\n" % one.number for one in groups)
    assert Program("group", str(folder)).end(said + b"12") == 0
    assert {one.ended_by() for one in groups} == {signal.SIGTERM}


def test_a_container_that_may_be_about_to_start_is_removed_three_times(docker: Path) -> None:
    assert Program("container", "weighin-model").end() == 0
    assert docker.read_text().splitlines() == ["rm --force --volumes weighin-model"] * 3


READY = """
import sys
sys.path.insert(0, {path!r})
from weighin.runner import reaper
class Input:
    buffer = None
    def read(self):
        print("waits", flush=True)
        return given.buffer.read()
given, sys.stdin = sys.stdin, Input()
sys.stdin.buffer = sys.stdin
sys.exit(reaper.main(sys.argv[1:]))
"""


def test_no_signal_of_a_terminal_or_a_shell_ends_a_reaper(group: Callable[[str], Group], folder: Path) -> None:
    one = group(OBEDIENT)
    code = READY.format(path=str(Path(reaper.__file__).resolve().parents[2]))
    command = [sys.executable, "-P", "-c", code, "group", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"waits\n"
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(sign)
    time.sleep(0.1)
    assert process.poll() is None
    assert folder.exists()
    process.communicate(b"%d\n" % one.number, timeout=LONGEST)
    assert process.returncode == 0
    assert one.ended_by() == signal.SIGTERM
    assert not folder.exists()
