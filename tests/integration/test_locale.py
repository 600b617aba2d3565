"""Java's processes are not disturbed by the user's language. Turkish has two letters i, and breaks what expects one."""

from pathlib import Path

import pytest

from contracts.settings import load_settings
from operations.embedded.broker import Broker
from operations.jars import kafka_jars
from operations.java import find_java
from operations.ports import free_ports


def test_broker_prepare_under_a_turkish_locale_formats_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As LC_ALL=tr_TR.UTF-8 would have it where that locale is installed.
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Duser.language=tr -Duser.country=TR")
    Broker(tmp_path, find_java().executable, kafka_jars(), load_settings().kafka, *free_ports(2)).prepare()
    assert (tmp_path / "logs" / "meta.properties").exists()
