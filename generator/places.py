"""The countries accounts live in, their money and their clocks. No randomness.

The zones are those by which `config/alerting-rules.yaml` judges (a test holds the two together). They lie so that at
every moment at least one country is between 01:00 and 05:00: at wall-clock time an unusual hour can be staged but for
the minutes in which one night ends as the next begins.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000


@dataclass(frozen=True)
class Country:
    """A country: its ISO 3166 code, the zone of its clocks, its currency, its share of the accounts, and the language
    (a locale of mimesis) of its merchants' names.
    """

    code: str
    zone: ZoneInfo
    currency: str
    weight: int
    language: str


# A country whose own currency the contract does not list pays in US dollars.
COUNTRIES = tuple(
    Country(code, ZoneInfo(zone), currency, weight, language)
    for code, zone, currency, weight, language in (
        ("US", "America/New_York", "USD", 30, "en"),
        ("CA", "America/Toronto", "CAD", 7, "en-ca"),
        ("GB", "Europe/London", "GBP", 12, "en-gb"),
        ("DE", "Europe/Berlin", "EUR", 9, "de"),
        ("FR", "Europe/Paris", "EUR", 7, "fr"),
        ("CH", "Europe/Zurich", "CHF", 4, "de-ch"),
        ("JP", "Asia/Tokyo", "JPY", 8, "ja"),
        ("SG", "Asia/Singapore", "SGD", 4, "zh"),
        ("AU", "Australia/Sydney", "AUD", 5, "en-au"),
        ("NZ", "Pacific/Auckland", "USD", 2, "en-au"),
        ("IN", "Asia/Kolkata", "USD", 4, "en"),
        ("AE", "Asia/Dubai", "USD", 1, "ar-ae"),
        ("BR", "America/Sao_Paulo", "USD", 3, "pt-br"),
        ("MX", "America/Mexico_City", "USD", 3, "es-mx"),
        ("PF", "Pacific/Tahiti", "USD", 1, "fr"),  # the only one asleep around 11:30 UTC
    )
)
SHARES = np.array([country.weight for country in COUNTRIES]) / sum(country.weight for country in COUNTRIES)

# What 100 US dollars of spending are in a currency: price levels, not exchange rates.
PRICE_LEVEL_PERCENT = {"USD": 100, "EUR": 90, "GBP": 80, "JPY": 14_000, "CHF": 90, "CAD": 130, "AUD": 150, "SGD": 130}
# Currencies without a smaller unit: their amounts end in ".00".
WHOLE_CURRENCIES = frozenset({"JPY"})

_LEVEL = np.array([PRICE_LEVEL_PERCENT[country.currency] for country in COUNTRIES], dtype=np.int64)
_UNIT = np.array([100 if country.currency in WHOLE_CURRENCIES else 1 for country in COUNTRIES], dtype=np.int64)


def local_money(us_cents: NDArray[np.int64], place: NDArray[np.integer]) -> NDArray[np.int64]:
    """Amounts of US cents as hundredths of the currency of `place` (positions in COUNTRIES); never zero."""
    unit = _UNIT[place]
    amounts: NDArray[np.int64] = np.maximum(us_cents * _LEVEL[place] // 100, unit)
    amounts -= amounts % unit
    return amounts


def local_hours(times_ms: NDArray[np.int64], place: NDArray[np.integer]) -> NDArray[np.int64]:
    """The hour of the day, 0 to 23, on the clocks of `place` (positions in COUNTRIES) at `times_ms` (UTC).

    The times are ascending and span minutes: whether it is summer time is asked for the hour of the first one.
    """
    return _local_minutes(times_ms, place) // 60 % 24


def local_weekdays(times_ms: NDArray[np.int64], place: NDArray[np.integer]) -> NDArray[np.int64]:
    """The day of the week, 0 (Monday) to 6, on the clocks of `place` at `times_ms`; see local_hours."""
    return (_local_minutes(times_ms, place) // 1440 + 3) % 7  # 1970-01-01 was a Thursday


def _local_minutes(times_ms: NDArray[np.int64], place: NDArray[np.integer]) -> NDArray[np.int64]:
    if not len(times_ms):
        return np.empty(0, dtype=np.int64)
    ahead: NDArray[np.int64] = _offset_minutes(int(times_ms.flat[0]) // _HOUR_MS)[place]
    return times_ms // _MINUTE_MS + ahead


@lru_cache(maxsize=64)
def _offset_minutes(hour: int) -> NDArray[np.int64]:
    """How far each country's clocks are ahead of UTC in the `hour`-th hour since 1970."""
    moment = datetime.fromtimestamp(hour * 3600, UTC)
    offsets = (moment.astimezone(country.zone).utcoffset() for country in COUNTRIES)
    return np.array([int(offset.total_seconds()) // 60 for offset in offsets if offset is not None], dtype=np.int64)


def asleep(
    time_ms: int, *, start_hour: int, end_hour: int, before_ms: int = 0, after_ms: int = 0
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For each of COUNTRIES whether its local hour is from `start_hour` to before `end_hour` at some moment, and
    whether at every moment, from `before_ms` before to `after_ms` after `time_ms` (UTC).
    """
    every = np.arange(len(COUNTRIES))
    nights = [
        (hours >= start_hour) & (hours < end_hour)
        for moment in (time_ms - before_ms, time_ms, time_ms + after_ms)
        for hours in (local_hours(np.full(len(every), moment, dtype=np.int64), every),)
    ]
    return np.logical_or.reduce(nights), np.logical_and.reduce(nights)
