"""The list of a cluster's jobs, over Flink's REST interface as given answers."""

import httpx
import pytest

from contracts.errors import ComponentFailed
from streaming.running_jobs import await_listed, submission_id


def flink(*lists: tuple[str, ...]) -> httpx.Client:
    """A Flink whose list of jobs is each of `lists` in turn, then the last for ever."""
    answers = list(lists)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/jobs/overview":
            ids = answers.pop(0) if len(answers) > 1 else answers[0]
            tasks = {"total": 1, "running": 1}
            return httpx.Response(
                200,
                json={"jobs": [{"jid": one, "name": "alerting", "state": "RUNNING", "tasks": tasks} for one in ids]},
            )
        return httpx.Response(200, json={"execution-config": {"user-config": {"fingerprint": "f"}}})

    return httpx.Client(base_url="http://flink.test", transport=httpx.MockTransport(answer))


def test_await_listed_a_list_that_is_older_than_the_job_is_read_again() -> None:
    cluster = flink(("old",), ("old",), ("old", "new"))
    await_listed(cluster, "new")
    assert {job["jid"] for job in cluster.get("/jobs/overview").json()["jobs"]} == {"old", "new"}


def test_await_listed_a_job_that_never_shows_is_named() -> None:
    with pytest.raises(ComponentFailed, match=r"flink\.test.* took the job new and did not list it"):
        await_listed(flink(("old",)), "new", seconds=0.3)


def test_submission_id_two_clients_that_know_the_same_ask_for_one() -> None:
    assert submission_id("plan", "file:///chk-3", ["b", "a"]) == submission_id("plan", "file:///chk-3", ["a", "b"])


def test_submission_id_another_plan_state_or_history_is_another_job() -> None:
    asked = [
        submission_id("plan", None, []),
        submission_id("other", None, []),
        submission_id("plan", "file:///chk-3", []),
        submission_id("plan", "file:///chk-4", []),
        submission_id("plan", "file:///chk-4", ["a"]),
    ]
    assert len(set(asked)) == len(asked)
    assert all(len(job_id) == 32 and int(job_id, 16) for job_id in asked)
