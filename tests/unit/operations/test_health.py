"""What is made of the components' answers. Flink and Dagster are given; nobody answers for Kafka."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer

from contracts import names
from contracts.paths import StatePaths
from generator.health import Reading
from operations.health import Component, Health
from operations.refusals import clear_refusals, write_refusal
from tests.health_answers import ALL, JOB, World, dagster, flink, process, verdict


@pytest.fixture
def kafka() -> Iterator[Callable[..., str]]:
    """Makes librdkafka's mock broker with these topics; its address."""
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})

    def make(*topics: str) -> str:
        for topic in topics:
            producer.produce(topic, b"{}")
        assert producer.flush(10) == 0
        (found,) = producer.list_topics(timeout=10).brokers.values()
        return f"{found.host}:{found.port}"

    yield make
    producer.flush(0)


def test_judge_everything_answers_all_are_healthy(kafka: Callable[..., str]) -> None:
    world = World(flink({**JOB}, {**JOB, "jid": "j2", "name": "lakehouse"}), dagster())
    servers = kafka(*names.TOPICS)
    found = world.judge(*map(process, ALL), kafka=servers)
    assert list(found) == [*ALL, "job alerting", "job lakehouse"]
    assert {component.health for component in found.values()} == {Health.HEALTHY}
    assert found[names.BROKER].detail == servers
    assert found["job alerting"] == Component("job alerting", Health.HEALTHY, "checkpoint 7, restarts 2", up_seconds=61)
    alerting = names.TASKMANAGERS[names.ALERTING_JOB]
    assert found[alerting] == Component(alerting, Health.HEALTHY, "registered", 4711, 10)
    assert found[names.DAEMON].detail == "2 loops beat"


def test_judge_what_runs_elsewhere_is_asked_in_its_place(kafka: Callable[..., str]) -> None:
    servers = kafka(*names.TOPICS)
    found = World(flink(JOB)).judge(
        process(names.JOB_KEEPER), kafka=servers, elsewhere={names.JOBMANAGER, names.BROKER}
    )
    assert list(found) == [names.BROKER, names.JOBMANAGER, names.JOB_KEEPER, "job alerting", "job lakehouse"]
    assert found[names.BROKER] == Component(names.BROKER, Health.HEALTHY, servers)
    assert found[names.JOBMANAGER].health is Health.HEALTHY


def test_judge_generator_elsewhere_is_known_by_its_word_alone(tmp_path: Path) -> None:
    world = World(state=tmp_path)
    (generator, *_) = world.judge(elsewhere={names.GENERATOR}).values()
    assert (generator.health, generator.pid) == (Health.STARTING, None)


def test_judge_broker_without_its_topics_names_those_to_come(kafka: Callable[..., str]) -> None:
    found = World().judge(process(names.BROKER), kafka=kafka(names.RAW_TOPIC))
    expected = f"topics to come: {names.ALERT_TOPIC}, {names.DEAD_LETTER_TOPIC}"
    assert verdict(found[names.BROKER]) == (Health.STARTING, expected)


def test_judge_nobody_answers_yet_all_are_starting_and_say_what_they_wait_for() -> None:
    found = World(None, None).judge(*map(process, ALL))
    assert {component.health for name, component in found.items() if name != names.JOB_KEEPER} == {Health.STARTING}
    assert found[names.BROKER].detail.startswith("does not answer yet (_")
    assert found[names.JOBMANAGER].detail == "does not answer yet"
    assert {found[name].detail for name in names.TASKMANAGERS.values()} == {"waits for the JobManager"}
    assert found[names.CODE_SERVER].detail == "assets not loaded yet"
    assert found[names.DAEMON].detail == "waits for the web server"
    assert found["job lakehouse"].detail == "not submitted yet"


def test_judge_still_starting_after_the_grace_period_is_unhealthy_jobs_by_their_keepers_age() -> None:
    old = [process(name, up_seconds=91) for name in ALL]
    found = World(None, None).judge(*old)
    unhealthy = {name for name, component in found.items() if component.health is Health.UNHEALTHY}
    assert unhealthy == {*ALL, "job alerting", "job lakehouse"} - {names.JOB_KEEPER}


@pytest.mark.parametrize(
    ("state", "complaint", "expected"),
    [
        ("STARTING", "", (Health.STARTING, "nothing in /nowhere/generator/health.json yet")),
        ("STOPPED", "", (Health.STARTING, "not started yet")),
        ("BACKOFF", "no such file", (Health.UNHEALTHY, "backoff: no such file; see: pipeline logs generator")),
        ("FATAL", "", (Health.UNHEALTHY, "fatal; see: pipeline logs generator")),
        ("EXITED", "", (Health.UNHEALTHY, "exited; see: pipeline logs generator")),
        ("RUNNING", "", (Health.STARTING, "nothing in /nowhere/generator/health.json yet")),
    ],
)
def test_judge_process_that_says_nothing_is_what_its_supervisor_says(
    state: str, complaint: str, expected: tuple[Health, str]
) -> None:
    found = World().judge(process(names.GENERATOR, state=state, complaint=complaint))
    assert verdict(found[names.GENERATOR]) == expected


@pytest.mark.parametrize(
    ("state", "expected"), [("RUNNING", (Health.HEALTHY, "running")), ("STARTING", (Health.STARTING, "starting"))]
)
def test_judge_process_without_a_probe_is_healthy_while_it_runs(state: str, expected: tuple[Health, str]) -> None:
    found = World().judge(process(names.JOB_KEEPER, state=state))
    assert verdict(found[names.JOB_KEEPER]) == expected


WORD = Reading(
    at="", state="closed", since="", sent=120, ok=100, failed=0, unknown=0, under_way=20, rate_per_second=1234.56,
    wanted_rate_per_second=10.0, reason="", refused_edit="",
)  # fmt: skip


@pytest.mark.parametrize(
    ("word", "age", "up_seconds", "expected"),
    [
        (WORD, 2, 60, (Health.HEALTHY, "circuit closed, 1,234.6/s")),
        (
            replace(WORD, refused_edit="generator.yaml:2: fraud_percent ..."),
            2,
            60,
            (Health.HEALTHY, "circuit closed, 1,234.6/s; an edit is not in force: generator.yaml:2: fraud_percent ..."),
        ),
        (
            replace(WORD, state="open", reason="1/1 brokers are down"),
            2,
            60,
            (Health.UNHEALTHY, "circuit open for 32 s, 20 records wait: 1/1 brokers are down"),
        ),
        (
            replace(WORD, state="half_open", reason="timed out"),
            2,
            60,
            (Health.UNHEALTHY, "circuit half open for 32 s, 20 records wait: timed out"),
        ),
        (WORD, 16, 60, (Health.UNHEALTHY, "silent for 16 s; see: pipeline logs generator")),
        (WORD, 14, 60, (Health.HEALTHY, "circuit closed, 1,234.6/s")),
        (WORD, 14, 5, (Health.STARTING, "nothing in {path} yet")),
        (replace(WORD, state="melted"), 2, 60, (Health.STARTING, "nothing in {path} yet")),
        (WORD, 200, 91, (Health.UNHEALTHY, "nothing in {path} yet")),
    ],
)
def test_judge_generator_is_what_its_file_says(
    tmp_path: Path, word: Reading, age: float, up_seconds: int, expected: tuple[Health, str]
) -> None:
    now, path = datetime.now(UTC), StatePaths(tmp_path).generator_health
    path.parent.mkdir()
    at, since = (now - timedelta(seconds=seconds) for seconds in (age, age + 30))
    path.write_text(json.dumps(asdict(replace(word, at=at.isoformat(), since=since.isoformat()))))
    found = World(state=tmp_path).judge(process(names.GENERATOR, up_seconds=up_seconds))
    health, detail = expected
    assert verdict(found[names.GENERATOR]) == (health, detail.format(path=path))


def test_judge_dead_process_is_unhealthy_even_where_its_port_still_answers() -> None:
    found = World(flink(), dagster()).judge(process(names.WEBSERVER, state="BACKOFF"))
    assert found[names.WEBSERVER].health is Health.UNHEALTHY


def test_judge_flink_without_one_taskmanager_says_which_one_is_missing() -> None:
    alerting, lakehouse = names.TASKMANAGERS.values()
    found = World(flink(taskmanagers=[lakehouse])).judge(*map(process, (names.JOBMANAGER, alerting, lakehouse)))
    assert found[names.JOBMANAGER].health is Health.HEALTHY
    assert found[lakehouse].health is Health.HEALTHY
    assert verdict(found[alerting]) == (Health.STARTING, "not registered yet")


def test_judge_failing_job_names_the_first_line_of_its_failure() -> None:
    restarting = {**JOB, "state": "RESTARTING", "tasks": {"total": 3, "running": 1}}
    failures = ("java.io.IOException: disk full\n\tat x", "older")
    found = World(flink(restarting, failures=failures)).judge()
    detail = "restarting, 1 of 3 tasks run: java.io.IOException: disk full"
    assert verdict(found["job alerting"]) == (Health.UNHEALTHY, detail)


FULL = "org.apache.FlinkException: restarting\n\tat x\nCaused by: java.io.IOException: No space left on device\n\tat y"


def test_judge_job_that_fails_again_and_again_says_how_often_why_and_what_to_do() -> None:
    found = World(flink({**JOB, "state": "RESTARTING"}, failures=(FULL, FULL, FULL, "other"))).judge()
    assert verdict(found["job alerting"]) == (
        Health.UNHEALTHY,
        "failed 3 times in 10 min, each time with: java.io.IOException: No space left on device. Mend that: Flink "
        "tries again by itself, at least every 20 s. It reads again from the first record on; more: pipeline logs "
        "taskmanager-alerting",
    )


def test_judge_job_that_runs_for_the_moment_between_two_failures_is_unhealthy() -> None:
    found = World(flink({**JOB}, failures=(FULL, FULL, FULL))).judge()
    assert found["job alerting"].health is Health.UNHEALTHY


@pytest.mark.parametrize(
    ("failures", "seconds"), [((FULL, FULL), 1), ((FULL, "other", FULL, "third"), 1), ((FULL, FULL, FULL), 31)]
)
def test_judge_job_that_failed_seldom_or_of_different_causes_or_a_while_ago_is_healthy(
    failures: tuple[str, ...], seconds: float
) -> None:
    found = World(flink({**JOB}, failures=failures, failed_seconds_ago=seconds)).judge()
    assert verdict(found["job alerting"]) == (Health.HEALTHY, "checkpoint 7, restarts 2")


def test_judge_process_given_up_says_how_often_it_ended_why_and_what_to_do() -> None:
    found = World().judge(process(names.GENERATOR, state="FATAL", deaths=51, words="disk full."))
    assert verdict(found[names.GENERATOR]) == (
        Health.UNHEALTHY,
        "given up: it ended 51 times (exit status 1), saying: disk full. Mend that, then start it again: pipeline up; "
        "more: pipeline logs generator",
    )


@pytest.mark.parametrize("state", ["BACKOFF", "RUNNING", "STARTING"])
def test_judge_process_that_ends_again_and_again_is_unhealthy_however_it_is_at_the_moment(state: str) -> None:
    found = World().judge(process(names.GENERATOR, state=state, deaths=5))
    assert verdict(found[names.GENERATOR]) == (
        Health.UNHEALTHY,
        "ended 5 times (exit status 1). It is started again and again; to see why: pipeline logs generator",
    )


@pytest.mark.parametrize(("deaths", "up_seconds"), [(4, 1), (5, 30)])
def test_judge_process_that_ended_seldom_or_has_run_since_is_healthy(deaths: int, up_seconds: int) -> None:
    found = World().judge(process(names.JOB_KEEPER, deaths=deaths, up_seconds=up_seconds))
    assert verdict(found[names.JOB_KEEPER]) == (Health.HEALTHY, "running")


def test_judge_job_that_never_failed_is_still_starting() -> None:
    found = World(flink({**JOB, "tasks": {"total": 3, "running": 0}})).judge()
    assert verdict(found["job alerting"]) == (Health.STARTING, "running, 0 of 3 tasks run")


def test_judge_flink_that_vanishes_between_two_questions_is_no_crash() -> None:
    answers = flink({**JOB, "state": "RESTARTING"})
    del answers["/jobs/j1/exceptions"]
    assert verdict(World(answers).judge()["job alerting"]) == (Health.STARTING, "restarting, 3 of 3 tasks run")


def test_judge_ended_job_is_to_be_submitted() -> None:
    found = World(flink({**JOB, "state": "FAILED"})).judge()
    assert verdict(found["job alerting"]) == (Health.STARTING, "not submitted yet")


def test_judge_assets_that_do_not_load_keep_the_code_server_from_health() -> None:
    found = World(flink(), dagster(loaded=False)).judge(process(names.CODE_SERVER))
    assert verdict(found[names.CODE_SERVER]) == (Health.STARTING, "assets not loaded yet")


def test_judge_daemon_without_heartbeat_is_named() -> None:
    found = World(flink(), dagster(late=("SENSOR",))).judge(process(names.DAEMON))
    assert verdict(found[names.DAEMON]) == (Health.STARTING, "no heartbeat yet: sensor")


@pytest.mark.parametrize(
    "answer", [httpx.Response(500), httpx.Response(200, text="<html>"), httpx.Response(200, json={"errors": ["x"]})]
)
def test_judge_strange_answer_of_dagster_is_no_crash(answer: httpx.Response) -> None:
    strange = {"locations": answer, "daemons": answer}
    found = World(flink(), strange).judge(process(names.CODE_SERVER), process(names.DAEMON), process(names.WEBSERVER))
    named = {found[name].health for name in (names.CODE_SERVER, names.DAEMON, names.WEBSERVER)}
    assert named == {Health.STARTING}


def test_judge_job_that_is_refused_tells_why_and_is_unhealthy_at_once(tmp_path: Path) -> None:
    write_refusal(StatePaths(tmp_path), names.LAKEHOUSE_JOB, "the topic was made again")
    found = World(flink(JOB), state=tmp_path).judge(process(names.JOB_KEEPER, up_seconds=1))
    assert verdict(found["job lakehouse"]) == (Health.UNHEALTHY, "not started: the topic was made again")
    clear_refusals(StatePaths(tmp_path), *names.JOBS)
    found = World(flink(JOB), state=tmp_path).judge(process(names.JOB_KEEPER, up_seconds=1))
    assert verdict(found["job lakehouse"]) == (Health.STARTING, "not submitted yet")
