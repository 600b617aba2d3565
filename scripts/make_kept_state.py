"""Makes the state folder of `tests/fixtures` by this version: `uv run scripts/make_kept_state.py`. Takes two minutes.

A new one stands beside those of earlier versions, which stay: each is a past that users' folders come from.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.config_copies import copy_of_config, replaced
from tests.integration import accounting
from tests.integration.conftest import CommandLine, command_line
from tests.kept_state import ARCHIVE, PLACE, pack, place


def main() -> None:
    """Make the folder and pack it."""
    with place() as state:
        pipeline = command_line(state)
        try:
            _first_session(pipeline)
            config = copy_of_config(PLACE)
            replaced(config / "alerting-rules.yaml", 'version: "1"', 'version: "2"')
            _second_session(command_line(state, PIPELINE_CONFIG=str(config)))
        finally:
            pipeline("down", check=False)
        pack(ARCHIVE)
    sys.stdout.write(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes\n")


def _first_session(pipeline: CommandLine) -> None:
    pipeline("up", "--detach", "--no-generator")
    _send(pipeline, minutes=10, seed=1)
    letter = pipeline.query('SELECT "partition", "offset" FROM dead_letters WHERE reason_code = \'bad_format\' LIMIT 1')
    place = f"{letter[0]['partition']}/{letter[0]['offset']}"
    payload = PLACE / "payload.json"
    (good,) = pipeline.query("SELECT * EXCLUDE (kafka_topic) FROM transactions LIMIT 1")
    record = {
        **{name: str(good[name]) for name in good if not name.startswith(("kafka_", "processed", "replayed", "event"))},
        "transaction_id": "00000000-0000-4000-8000-000000004711",
        "timestamp": "2026-11-30T12:00:00.000Z",
    }
    payload.write_text(json.dumps(record), encoding="utf-8")
    pipeline("dead-letters", "replay", place, "--payload", str(payload))
    accounting.assert_one_fate_each(pipeline.addresses(), accounting.cut(pipeline.addresses()))
    pipeline("down")


def _second_session(pipeline: CommandLine) -> None:
    pipeline("up", "--detach", "--no-generator")
    _send(pipeline, minutes=3, seed=2)
    pipeline("down")


def _send(pipeline: CommandLine, *, minutes: int, seed: int) -> None:
    start = datetime.now(UTC) - timedelta(minutes=minutes + 1)
    options = ("--start", f"{start:%Y-%m-%dT%H:%M:%SZ}", "--backfill", f"{minutes}m", "--rate", "2")
    assert accounting.generate(pipeline, "--seed", str(seed), *options, ledger=PLACE / "ledger").wait(timeout=120) == 0
    accounting.assert_one_fate_each(pipeline.addresses(), accounting.cut(pipeline.addresses()))


if __name__ == "__main__":
    main()
