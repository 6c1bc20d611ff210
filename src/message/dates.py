"""Dates: the Date field's own calendar day, and IMAP's date-time in both directions.

`sent_date` is lenient, since SEARCH SENTON is asked about real mail: day names, time and zone are not looked at
(RFC 3501 6.4.4 disregards both), years of two and three digits mean what RFC 5322 4.3 says, and the orders of asctime
and ISO 8601 are understood. `parse_date_time` is strict (RFC 3501 9, date-time): its text comes from a client.
"""

import datetime
import functools
import re

from .headers import first

_MONTHS = (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec")
_MONTH_NUMBER = {name: number for number, name in enumerate(_MONTHS, 1)}
_ANY_MONTH = b"|".join(_MONTHS)
_EPOCH = datetime.date(1970, 1, 1).toordinal()

# A date further inside the field than this is no date.
_DATE_LENGTH = 200
_SENT = re.compile(
    rb"(?<![0-9])([0-9]{1,2})[ \t-]{1,8}(%b)[a-z]{0,6}\.?[ \t,-]{1,8}([0-9]{2,4})(?![0-9])" % _ANY_MONTH, re.I
)
_ASCTIME = re.compile(
    rb"(?<![a-z])(%b)[a-z]{0,6}[ \t]{1,8}([0-9]{1,2})[, \t][^\r\n]*?\b([0-9]{4})(?![0-9])" % _ANY_MONTH, re.I
)
_ISO = re.compile(rb"(?<![0-9])([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?![0-9])")
_COMMENT = re.compile(rb"\([^()]*+\)")
_DATE_TIME = re.compile(
    rb'"?( [0-9]|[0-9]{2})-(%b)-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"?' % _ANY_MONTH,
    re.I,
).fullmatch


def _day(year: int, month: int, day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return None


def _full_year(digits: bytes) -> int:
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def date_of(value: bytes) -> datetime.date | None:
    """The calendar day that an unfolded Date value names."""
    value = value[:_DATE_LENGTH]
    if b"(" in value:
        value = _COMMENT.sub(b" ", value)
    if found := _SENT.search(value):
        day, month, year = found.groups()
        return _day(_full_year(year), _MONTH_NUMBER[month.lower()], int(day))
    if found := _ISO.search(value):
        return _day(int(found[1]), int(found[2]), int(found[3]))
    if found := _ASCTIME.search(value):
        return _day(int(found[3]), _MONTH_NUMBER[found[1].lower()], int(found[2]))
    return None


def sent_date(header: bytes) -> datetime.date | None:
    """The Date field's own calendar day, None without a usable one."""
    value = first(header, b"date")
    return None if value is None else date_of(value)


def parse_date_time(text: bytes) -> int:
    """Seconds since 1970 of a date-time, with or without its quotes. ValueError when it is none."""
    found = _DATE_TIME(text)
    if found is None or text.startswith(b'"') != (text.endswith(b'"') and len(text) > 1):
        raise ValueError("a date-time looks like 17-Jul-1996 02:44:25 -0700")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    if int(zone_hours) > 23 or int(zone_minutes) > 59:
        raise ValueError("the time zone is out of range")
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:  # 60: a leap second
        raise ValueError("the time is out of range")
    days = datetime.date(int(year), _MONTH_NUMBER[month.lower()], int(day)).toordinal() - _EPOCH
    offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
    seconds = days * 86400 + int(hour) * 3600 + int(minute) * 60 + int(second)
    return seconds - offset if sign == b"+" else seconds + offset


@functools.lru_cache(maxsize=4096)
def _day_text(days: int) -> bytes:
    day = datetime.date.fromordinal(max(1, min(days + _EPOCH, datetime.date.max.toordinal())))
    return b'"%2d-%b-%04d ' % (day.day, _MONTHS[day.month - 1].title(), day.year)


def internaldate(seconds: int) -> bytes:
    """A quoted date-time in UTC (RFC 3501 7.4.2, INTERNALDATE)."""
    days, rest = divmod(seconds, 86400)
    return b'%b%02d:%02d:%02d +0000"' % (_day_text(days), rest // 3600, rest // 60 % 60, rest % 60)
