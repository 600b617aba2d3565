"""What the generator's tests share."""

import pytest

from tests.fake_producer import FakeProducer


@pytest.fixture
def producer() -> FakeProducer:
    return FakeProducer()
