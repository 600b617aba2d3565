"""`pipeline dead-letters` as a user meets it, over real tables and without a broker."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contracts import names
from contracts.positions import Position
from operations.dead_letters.ledger import Attempt, Outcome, open_ledger
from operations.dead_letters.repairs import Repair, read_lines
from streaming.explain import explain
from tests.command_line import Answer, Call, pipeline_command
from tests.lake_tables import NOW, Lake, dead_letter, lake_in, transaction

# Each at the offset of its place in this list.
PAYLOADS = [
    None, b"", b"\x00", b"\xff\xfe\x00\x1b[31m", b"\xef\xbb\xbf{}", "\u2028Café \x1b[31m\u0085\r\n{".encode(),
    b'"' + b"x" * 2_000_000, bytes(range(256)) * 8_000, b"\xed\xa0\x80",
]  # fmt: skip
VALID = (
    b'{"transaction_id":"00000000-0000-0000-0000-000000000001","timestamp":"2026-11-22T10:00:00.000Z",'
    b'"account_id":"ACC000000001","amount":"1.00","currency":"USD","merchant_id":"MER000001","merchant_name":"x",'
    b'"merchant_category":"5411","transaction_type":"purchase","channel":"pos","country":"CH"}'
)
BROKEN = VALID.replace(b"1.00", b"1,00")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """Nine refused records of today, one of yesterday (offset 100), and one that was repaired (offset 101)."""
    with lake_in(tmp_path_factory.mktemp("a folder") / "state") as lake:
        rows = [
            dead_letter(0, offset=offset, **explain(payload)._asdict(), failed_at=NOW - timedelta(minutes=offset))
            for offset, payload in enumerate(PAYLOADS)
        ]
        old = {"failed_at": NOW - timedelta(days=1), **explain(BROKEN)._asdict()}
        lake.append(names.DEAD_LETTERS, [*rows, dead_letter(0, offset=100, **old), dead_letter(0, offset=101, **old)])
        lake.append(
            names.TRANSACTIONS,
            [transaction(9, kafka_partition=1, kafka_offset=77, replayed_from="transactions.raw/0/101")],
        )
        yield lake


@pytest.fixture
def call(lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs `pipeline dead-letters` with these arguments in this process."""
    monkeypatch.setenv("PIPELINE_STATE", str(lake.state))
    with pipeline_command(monkeypatch, capsys, "dead-letters") as call:
        yield call


def test_list_newest_first_with_reason_state_and_counts(call: Call) -> None:
    lines = call("list").out.splitlines()
    assert [line.split()[0] for line in lines[1:12]] == [*(f"0/{offset}" for offset in range(9)), "0/101", "0/100"]
    assert "no_payload" in lines[1]
    assert " open " in lines[1]
    assert " replayed as 1/77 " in lines[10]
    counts = "malformed_json 4, bad_format 2, not_utf8 2, too_large 2, no_payload 1"
    assert lines[-1] == f"11 dead letters: {counts}"


def test_list_json_says_the_same(call: Call) -> None:
    found = json.loads(call("list", "--json", "--limit", "10").out)
    assert len(found["dead_letters"]) == 10
    assert found["dead_letters"][9] == {
        "position": "transactions.raw/0/101",
        "failed_at": (NOW - timedelta(days=1)).isoformat(timespec="milliseconds"),
        "reason_code": "bad_format",
        "message": explain(BROKEN).message,
        "state": "replayed",
        "replayed_as": "transactions.raw/1/77",
        "replayed_from": None,
    }
    assert found["by_reason"]["bad_format"] == 2


@pytest.mark.parametrize(
    ("arguments", "offsets"),
    [
        (["--reason", "not_utf8"], [3, 8]),
        (["--since", "12h"], list(range(9))),
        (["--since", (NOW - timedelta(hours=1)).isoformat()], list(range(9))),
        (["--since", (NOW - timedelta(hours=1)).replace(tzinfo=None).isoformat(), "--reason", "bad_format"], []),
        (["--limit", "2"], [0, 1]),
        (["--open"], [*range(9), 100]),
    ],
)
def test_list_chosen(call: Call, arguments: list[str], offsets: list[int]) -> None:
    found = json.loads(call("list", "--json", *arguments).out)
    assert [Position.parse(letter["position"]).offset for letter in found["dead_letters"]] == offsets


def test_list_of_none_says_so(call: Call) -> None:
    assert call("list", "--reason", "wrong_type").out == "No dead letters.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--reason", "nonsense"], ["list", "--since", "yesterday"], ["show", "nonsense"], ["replay"],
        ["replay", "0/1"], ["replay", "0/1", "--set", "amount"], ["replay", "0/100", "--set", "amunt=1.00"],
        ["replay", "0/1", "--file", "x"], ["replay", "--file", "x", "--set", "amount=1.00"],
        ["replay", "0/1", "--payload", "x", "--set", "amount=1.00"],
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_says_what_is_right(call: Call, arguments: list[str]) -> None:
    answer = call(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert "Invalid value" in answer.err


def test_show_tells_everything_and_lets_nothing_steer_the_terminal(call: Call) -> None:
    text = call("show", "0/5").out
    assert "transactions.raw/0/5" in text
    assert "malformed_json" in text
    assert "\\u2028Café \\x1b[31m\\x85\\r\n{" in text
    assert "\x1b" not in text


def test_show_bytes_that_are_no_text_as_a_hex_dump(call: Call) -> None:
    assert "00000000  ff fe 00 1b 5b 33 31 6d                          ....[31m" in call("show", "0/3").out
    assert "2,048,000 bytes in all; export has them" in call("show", "0/7").out


def test_show_json_has_the_exact_payload(call: Call) -> None:
    found = json.loads(call("show", "transactions.raw/0/100", "--json").out)
    assert (found["payload"], found["payload_encoding"], found["attempts"]) == (BROKEN.decode(), "utf-8", [])


@pytest.mark.parametrize("arguments", [["show", "0/99"], ["replay", "0/99", "--set", "amount=1.00"]])
def test_position_without_a_dead_letter_exits_with_1_and_says_where_to_look(call: Call, arguments: list[str]) -> None:
    answer = call(*arguments)
    assert (answer.code, answer.out) == (1, "")
    assert "there is no dead letter at transactions.raw/0/99" in answer.err
    assert "pipeline dead-letters list" in answer.err


def test_export_bytes_in_are_bytes_out(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    assert call("export", "--output", str(file)).out == f"11 dead letters in {file}\n"
    repairs = [entry for entry in read_lines(file.read_bytes().split(b"\n")) if isinstance(entry, Repair)]
    assert [entry.position.offset for entry in repairs] == [*range(9), 100, 101]
    assert [entry.value for entry in repairs] == [*PAYLOADS, BROKEN, BROKEN]
    assert file.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [file]


def test_export_to_standard_output_is_the_same_and_nothing_else(call: Call) -> None:
    lines = call("export", "-o", "-", "--reason", "bad_format").out.splitlines()
    assert [json.loads(line)["offset"] for line in lines] == [100, 101]


def test_open_leaves_out_what_the_ledger_alone_knows_to_be_replayed(call: Call, lake: Lake) -> None:
    place = Position(names.RAW_TOPIC, 0, 100)
    folder = lake.state / "replays"
    try:
        with open_ledger(folder / "ledger.db", create=True) as ledger:
            ledger.intend([Attempt(place, "id", "ab", "anna", NOW, {0: 0}, Outcome.INTENDED)])
            assert '"offset": 100' in call("export", "-o", "-", "--open").out
            assert "unsettled" in call("show", "0/100").out
            ledger.settle({place: Position(names.RAW_TOPIC, 0, 500)}, now=NOW)
        assert call("list", "--open", "--reason", "bad_format").out == "No dead letters.\n"
        assert call("export", "-o", "-", "--open", "--reason", "bad_format").out == ""
        shown = call("show", "0/100").out
        assert "replayed as 0/500" in shown
        assert " anna  delivered  0/500  ab" in shown
    finally:
        shutil.rmtree(folder)


def test_export_to_where_nothing_can_be_written_is_told(call: Call, tmp_path: Path) -> None:
    answer = call("export", "-o", str(tmp_path / "nowhere" / "letters.jsonl"))
    assert answer.code == 1
    assert "cannot be written: No such file or directory" in answer.err


def test_replay_dry_run_of_a_file_says_what_would_be_sent(call: Call) -> None:
    lines = call("export", "-o", "-", "--reason", "bad_format").out.replace("1,00", "1.00").encode()
    answer = call("replay", "--file", "-", "--dry-run", stdin=lines)
    assert answer == Answer(
        0,
        "0/100 is valid and would be replayed\n0/101 was already replayed as 1/77; nothing was sent\n"
        "2 records: 1 would be replayed, 1 already replayed\n",
        "",
    )


def test_replay_still_invalid_exits_with_1_and_the_reason(call: Call) -> None:
    answer = call("replay", "0/100", "--set", "amount=free", "--dry-run")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith('0/100 refused: bad_format: amount: found "free"')
    assert answer.err.endswith("; nothing was sent\n")


def test_replay_payload_is_taken_as_it_is(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "repaired.json"
    file.write_bytes(VALID + b"\n")
    assert call("replay", "0/0", "--payload", str(file), "--dry-run").out == "0/0 is valid and would be replayed\n"
    answer = call("replay", "0/0", "--payload", "-", "--dry-run", "--json", stdin=b"\xff")
    assert json.loads(answer.out)["records"][0]["reason_code"] == "not_utf8"


def test_replay_set_in_what_is_no_object_says_to_give_the_whole(call: Call) -> None:
    answer = call("replay", "0/3", "--set", "amount=1.00")
    assert answer.code == 1
    assert "give the whole of it: --payload FILE" in answer.err


def test_replay_without_a_broker_exits_with_3_and_notes_nothing(call: Call, lake: Lake) -> None:
    answer = call("replay", "0/100", "--set", "amount=1.00")
    assert answer.code == 3
    assert "does not answer" in answer.err
    assert not (lake.state / "replays").exists()


def test_replay_file_that_is_not_there_is_told(call: Call) -> None:
    answer = call("replay", "--file", "/nowhere.jsonl")
    assert answer.code == 1
    assert "/nowhere.jsonl cannot be read" in answer.err
