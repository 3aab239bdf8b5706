"""ISO 8601 durations on the calendar: `P1Y` from a given moment ends on the same date a year later."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta

_DURATION = re.compile(
    r"P(?=.)(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,5})M)?(?:(?P<weeks>\d{1,5})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,7})H)?(?:(?P<minutes>\d{1,8})M)?(?:(?P<seconds>\d{1,10})S)?)?"
)


def duration_seconds(text: str, *, start: datetime) -> int:
    """Seconds from `start` until the duration has passed; the 31st plus a month is the month's last day.

    Raises ValueError for text that is not a whole, positive ISO 8601 duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 duration; write for example P1Y, P6M or P30D")
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    try:
        end = _months_later(start, part["years"] * 12 + part["months"]) + timedelta(
            weeks=part["weeks"], days=part["days"], hours=part["hours"], minutes=part["minutes"],
            seconds=part["seconds"],
        )
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} from {start:%Y-%m-%d} ends after year 9999; give a shorter duration") from None
    # Stored in seconds, because months differ in length and a later reader must not count them from another start.
    seconds = int((end - start).total_seconds())
    if seconds <= 0:
        raise ValueError(f"{text!r} has no length; give a longer duration, or none for consent without end")
    return seconds


def _months_later(start: datetime, months: int) -> datetime:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    # There is no 31st in every month. The last day is taken, so that a period never runs into the month after its end.
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)
