"""`pipeline logs`: the end of each file, and what is appended, also across a rotation."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from contracts.errors import NotRunning, PipelineError
from contracts.paths import PROJECT
from operations.logs import show_logs

FOLLOW = "import sys; from pathlib import Path; from operations.logs import show_logs as show; \
show(Path(sys.argv[1]), sys.argv[2] or None, follow=True, lines=1)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kafka.log").write_text("".join(f"k{number}\n" for number in range(5)))
    (tmp_path / "jobs.log").write_text("j0\nj1\n")
    (tmp_path / "kafka.log.1").write_text("old\n")
    return tmp_path


class Follower:
    """Another process that follows the logs in a folder."""

    def __init__(self, folder: Path, component: str = "") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", FOLLOW, str(folder), component], cwd=PROJECT, stdout=subprocess.PIPE, text=True
        )
        self._lines: Queue[str] = Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line)

    def next(self) -> str:
        """The next line; queue.Empty after 10 s."""
        return self._lines.get(timeout=10)

    def end(self) -> None:
        self.process.kill()
        self._reader.join()
        self.process.communicate()


@pytest.fixture
def follower(folder: Path) -> Iterator[Follower]:
    """Follows Kafka's log."""
    found = Follower(folder, "kafka")
    assert found.next() == "k4\n"
    yield found
    found.end()


def test_show_logs_one_component_shows_its_last_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(folder, "kafka", follow=False, lines=2)
    assert capsys.readouterr().out == "k3\nk4\n"


def test_show_logs_all_are_labelled(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(folder, None, follow=False, lines=1)
    assert capsys.readouterr().out == "jobs | j1\nkafka | k4\n"


def test_show_logs_bytes_that_are_no_text_are_shown_as_far_as_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "kafka.log").write_bytes(b"a\xffb\n")
    show_logs(folder, "kafka", follow=False, lines=2)
    assert capsys.readouterr().out == "a\ufffdb\n"


def test_show_logs_unknown_component_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(PipelineError, match="no log of 'kafak'; there are jobs, kafka"):
        show_logs(folder, "kafak", follow=False, lines=2)


def test_show_logs_before_the_first_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="pipeline up"):
        show_logs(tmp_path / "logs", None, follow=False, lines=2)


def test_show_logs_follow_prints_what_is_appended_in_whole_lines(folder: Path, follower: Follower) -> None:
    with (folder / "kafka.log").open("a") as log:
        log.write("k5\nha")
        log.flush()
        assert follower.next() == "k5\n"
        log.write("lf\n")
    assert follower.next() == "half\n"


def test_show_logs_follow_over_a_rotation_loses_no_line(folder: Path, follower: Follower) -> None:
    log = folder / "kafka.log"
    with log.open("a") as old:
        old.write("last of the old\n")
        log.rename(folder / "kafka.log.1")
        log.write_text("first of the new, which is longer than the old one ever was\nsecond\n")
    assert follower.next() == "last of the old\n"
    assert follower.next().startswith("first of the new")
    assert follower.next() == "second\n"


def test_show_logs_follow_all_shows_a_component_that_starts_later(folder: Path) -> None:
    follower = Follower(folder)
    try:
        assert {follower.next(), follower.next()} == {"jobs | j1\n", "kafka | k4\n"}
        (folder / "generator.log").write_text("g0\n")
        assert follower.next() == "generator | g0\n"
    finally:
        follower.end()
