"""The cache of jars, against a repository on loopback: jgo really downloads, from a mirror its configuration names."""

import gc
import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.progress import Progress

from contracts.errors import JarError
from contracts.paths import PROJECT
from contracts.settings import load_settings
from operations import jars
from operations.jars import Pin

DEADLINE_SECONDS = 30
# jgo leaves the connections of failed requests to the garbage collector...
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """...which must come here, and not in a later test of another module, where the warning is an error."""
    yield
    gc.collect()


class Repository:
    """A Maven repository that counts what it is asked for. `stall`: begin to answer, then stop until `close`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.stall = False
        self.stalling, self._released = threading.Event(), threading.Event()
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = repository.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if content is None:
                    return
                repository.asked[self.path.rpartition("/")[2]] += 1
                if repository.stall:
                    self.wfile.write(content[:1])
                    self.wfile.flush()
                    repository.stalling.set()
                    repository._released.wait(DEADLINE_SECONDS)
                    return
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on standard error."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def publish(self, name: str, content: bytes) -> Pin:
        """Puts version 1.0 of the jar `name` into the repository and returns its pin."""
        self.files[f"/org/example/{name}/1.0/{name}-1.0.jar"] = content
        return Pin(jar=f"org.example:{name}:1.0", bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

    def close(self) -> None:
        """Ends the server and all its threads."""
        self._released.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()
    configuration = tmp_path / "jgo.conf"
    configuration.write_text(f"[repositories]\ncentral = http://127.0.0.1:{repository.server.server_port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield repository
    repository.close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fetch_elsewhere(pin: Pin, cache: Path) -> subprocess.Popen[bytes]:
    """A process that fetches `pin` into `cache`."""
    code = "import sys, pathlib; from operations.jars import *; "
    code += "fetch([Pin.model_validate_json(sys.argv[1])], pathlib.Path(sys.argv[2]))"
    return subprocess.Popen([sys.executable, "-c", code, pin.model_dump_json(), str(cache)], cwd=PROJECT)


def test_fetch_jar_is_missing_puts_exactly_its_bytes_into_the_cache(repository: Repository, cache: Path) -> None:
    pin = repository.publish("one", b"the jar")
    assert jars.fetch([pin], cache) == 1
    assert pin.path(cache).read_bytes() == b"the jar"
    assert pin.path(cache).name == "one-1.0.jar"


def test_fetch_everything_is_cached_asks_the_repository_nothing(repository: Repository, cache: Path) -> None:
    pin = repository.publish("one", b"the jar")
    jars.fetch([pin], cache)
    assert jars.fetch([pin], cache) == 0
    assert repository.asked == {"one-1.0.jar": 1}


def test_fetch_repository_serves_another_file_is_refused_and_not_kept(repository: Repository, cache: Path) -> None:
    pin = repository.publish("one", b"the jar")
    repository.publish("one", b"THE JAR")
    with pytest.raises(JarError) as raised:
        jars.fetch([pin], cache)
    for part in (pin.jar, pin.sha256, hashlib.sha256(b"THE JAR").hexdigest(), "do not use it"):
        assert part in str(raised.value)
    assert jars.missing([pin], cache) == (pin,)
    assert not list(cache.rglob("*.jar"))


def test_fetch_repository_has_no_such_jar_says_which_and_what_to_do(repository: Repository, cache: Path) -> None:
    pin = repository.publish("one", b"the jar")
    repository.files.clear()
    with pytest.raises(JarError, match=r"org\.example:one:1\.0 \(7 bytes\) cannot be fetched.*pipeline fetch"):
        jars.fetch([pin], cache)


def test_fetch_nobody_answers_says_so_after_its_retries(repository: Repository, cache: Path) -> None:
    pin = repository.publish("one", b"the jar")
    repository.close()
    with pytest.raises(JarError, match="Connection refused"):
        jars.fetch([pin], cache)


def test_fetch_cached_jar_was_cut_short_is_fetched_again(repository: Repository, cache: Path) -> None:
    pin = repository.publish("one", b"the jar")
    jars.fetch([pin], cache)
    pin.path(cache).write_bytes(b"the")
    assert jars.fetch([pin], cache) == 1
    assert pin.path(cache).read_bytes() == b"the jar"


def test_fetch_two_processes_at_once_download_each_jar_once(repository: Repository, cache: Path) -> None:
    pin = repository.publish("big", os.urandom(2_000_000))
    processes = [fetch_elsewhere(pin, cache) for _ in range(2)]
    assert [process.wait(DEADLINE_SECONDS) for process in processes] == [0, 0]
    assert jars.missing([pin], cache) == ()
    assert repository.asked == {"big-1.0.jar": 1}


def test_fetch_killed_in_the_middle_leaves_nothing_and_works_the_next_time(repository: Repository, cache: Path) -> None:
    pin = repository.publish("one", b"the jar")
    repository.stall = True
    with fetch_elsewhere(pin, cache) as process:
        assert repository.stalling.wait(DEADLINE_SECONDS)
        process.send_signal(signal.SIGKILL)
    assert jars.missing([pin], cache) == (pin,)

    repository.stall = False
    assert jars.fetch([pin], cache) == 1
    assert pin.path(cache).read_bytes() == b"the jar"
    assert not (cache / "partial").exists()


def test_fetch_with_progress_reports_the_bytes_of_all_missing_jars(repository: Repository, cache: Path) -> None:
    pins = [repository.publish("one", b"1" * 10_000), repository.publish("two", b"2" * 20_000)]
    with Progress(disable=True) as progress:
        jars.fetch(pins, cache, progress)
    assert [(task.total, task.completed) for task in progress.tasks] == [(30_000, 30_000)]


def test_fetch_cache_cannot_be_written_names_the_folder_and_the_variable(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JarError, match=r"file/cache cannot be written.*PIPELINE_CACHE"):
        jars.fetch([repository.publish("one", b"the jar")], tmp_path / "file" / "cache")


def test_default_cache_variable_is_set_is_that_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path))
    assert jars.default_cache() == tmp_path
    load_settings()  # does not take it for a misspelt setting


def test_read_jars_own_file_every_coordinate_is_pinned() -> None:
    known = jars.read_jars()
    assert set(known.sets) == set(known.pins) == {"flink", "s3", "hadoop", "kafka"}
    for name, jar_set in known.sets.items():
        pinned = [pin.jar for pin in known.pins[name]]
        assert set(jar_set.coordinates) <= set(pinned)
        assert len({jar.rpartition(":")[0] for jar in pinned}) == len(pinned), (
            "one version of a library on one class path"
        )


def test_read_jars_own_file_all_parts_of_kafka_have_its_version() -> None:
    versions = {pin.jar.rpartition(":")[2] for pin in jars.read_jars().pins["kafka"] if "org.apache.kafka:" in pin.jar}
    assert len(versions) == 1
