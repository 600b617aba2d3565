"""What is written of the rule books that were put in force, and what is read of it."""

from pathlib import Path

import pytest

from streaming.deployments import Begin, Deployment, Deployments
from streaming.rules.book import load_rules, rules_text
from tests.config_copies import replaced


@pytest.fixture
def deployments(tmp_path: Path) -> Deployments:
    return Deployments(tmp_path / "rules")


def want(deployments: Deployments, config: Path | None = None) -> Deployment:
    return deployments.want(load_rules(config), rules_text(config), reason="a test", cold=False)


def test_deployments_before_the_first_are_none(deployments: Deployments) -> None:
    assert (deployments.all(), deployments.in_force(), deployments.wanted()) == ((), None, None)


def test_want_adds_a_numbered_deployment_that_is_wanted(deployments: Deployments) -> None:
    wanted = want(deployments)
    assert (wanted.number, wanted.state) == (1, "wanted")
    assert deployments.wanted() == wanted
    assert wanted.rules == {"high-value": "1", "rapid-activity": "1", "unusual-hour": "1"}


def test_want_another_one_before_the_first_took_over_lets_the_first_fail(deployments: Deployments) -> None:
    want(deployments)
    want(deployments)
    assert [deployment.state for deployment in deployments.all()] == ["failed", "wanted"]


def test_take_over_ends_the_one_before(deployments: Deployments) -> None:
    for _ in range(3):
        deployments.take_over(want(deployments))
    assert [deployment.state for deployment in deployments.all()] == ["ended", "ended", "in force"]
    current = deployments.in_force()
    assert current is not None
    assert current.number == 3


def test_wanted_while_another_is_in_force_leaves_that_in_force(deployments: Deployments) -> None:
    deployments.take_over(want(deployments))
    want(deployments)
    current = deployments.in_force()
    assert current is not None
    assert current.number == 1


def test_deployments_more_than_nine_are_in_the_order_of_their_numbers(deployments: Deployments) -> None:
    for _ in range(11):
        deployments.take_over(want(deployments))
    assert [deployment.number for deployment in deployments.all()] == list(range(1, 12))


def test_book_of_a_deployment_is_the_file_as_it_was(deployments: Deployments, config: Path) -> None:
    deployments.take_over(want(deployments, config))
    replaced(config / "alerting-rules.yaml", "window_seconds: 60", "window_seconds: 900")
    deployed = deployments.in_force()
    assert deployed is not None
    assert deployments.book(deployed).memory_seconds == 60


def test_save_survives_reading_it_anew(deployments: Deployments, tmp_path: Path) -> None:
    begin = Begin(read_from={0: 5, 1: 6}, judge_from={0: 7, 1: 8})
    saved = deployments.save(want(deployments).model_copy(update={"begin": begin, "fingerprint": "abc"}))
    assert Deployments(tmp_path / "rules").get(1) == saved
