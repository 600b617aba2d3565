"""The countries accounts live in, and whether it is night there. No randomness.

The zones are those by which `config/alerting-rules.yaml` judges (a test holds the two together). They lie so that at
every moment at least one country is between 01:00 and 05:00: an unusual hour can always be staged at wall-clock time.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Country:
    """A country: its ISO 3166 code, the zone of its clocks, its accounts' currency and its share of the accounts."""

    code: str
    zone: ZoneInfo
    currency: str
    weight: int


# A country whose own currency the contract does not list pays in US dollars.
COUNTRIES = tuple(
    Country(code, ZoneInfo(zone), currency, weight)
    for code, zone, currency, weight in (
        ("US", "America/New_York", "USD", 30),
        ("CA", "America/Toronto", "CAD", 7),
        ("GB", "Europe/London", "GBP", 12),
        ("DE", "Europe/Berlin", "EUR", 9),
        ("FR", "Europe/Paris", "EUR", 7),
        ("CH", "Europe/Zurich", "CHF", 4),
        ("JP", "Asia/Tokyo", "JPY", 8),
        ("SG", "Asia/Singapore", "SGD", 4),
        ("AU", "Australia/Sydney", "AUD", 5),
        ("NZ", "Pacific/Auckland", "USD", 2),
        ("IN", "Asia/Kolkata", "USD", 4),
        ("AE", "Asia/Dubai", "USD", 1),
        ("BR", "America/Sao_Paulo", "USD", 3),
        ("MX", "America/Mexico_City", "USD", 3),
        ("PF", "Pacific/Tahiti", "USD", 1),  # the only one asleep around 11:30 UTC
    )
)

# What 100 US dollars of spending are in a currency: price levels, not exchange rates.
PRICE_LEVEL_PERCENT = {"USD": 100, "EUR": 90, "GBP": 80, "JPY": 14_000, "CHF": 90, "CAD": 130, "AUD": 150, "SGD": 130}
# Currencies without a smaller unit: their amounts end in ".00".
WHOLE_CURRENCIES = frozenset({"JPY"})


def asleep(now: datetime, *, start_hour: int, end_hour: int) -> NDArray[np.bool_]:
    """For each of COUNTRIES whether its local hour at `now` (aware) is from `start_hour` to before `end_hour`."""
    return np.array([start_hour <= now.astimezone(country.zone).hour < end_hour for country in COUNTRIES])
