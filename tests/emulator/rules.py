"""What RDS checks of single values: names, windows, quotas of one field."""

import re

from store import Fault, SETTINGS

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK = 7 * 24 * 60


def invalid(message):
    return Fault("InvalidParameterValue", message)


def check_identifier(name, what):
    """Letters, digits and single hyphens, a letter first, at most 63."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,62}", name) or "--" in name or name.endswith("-"):
        raise invalid(
            f"The parameter {what} is not a valid identifier. Identifiers must begin with a letter; must contain only "
            "ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens."
        )
    return name.lower()


def clock(text, what):
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", text)
    if not found:
        raise invalid(f"Invalid {what} format: {text}. Should be specified as a range hh24:mi-hh24:mi (24H Clock UTC).")
    return int(found[1]) * 60 + int(found[2])


def backup_window(text):
    """Minutes of the day at which it starts, and how long it is."""
    start, _, end = text.partition("-")
    start, end = clock(start, "backup window"), clock(end, "backup window")
    length = (end - start) % (24 * 60)
    if length < 30:
        raise invalid("The backup window must be at least 30 minutes.")
    return start, length


def maintenance_window(text):
    """Minutes of the week at which it starts, and how long it is."""
    found = re.fullmatch(r"(\w{3}):(\d\d:\d\d)-(\w{3}):(\d\d:\d\d)", text.lower())
    if not found or found[1] not in DAYS or found[3] not in DAYS:
        raise invalid(f"Invalid maintenance window format: {text}. Should be specified as ddd:hh24:mi-ddd:hh24:mi.")
    start = DAYS.index(found[1]) * 1440 + clock(found[2], "maintenance window")
    end = DAYS.index(found[3]) * 1440 + clock(found[4], "maintenance window")
    length = (end - start) % WEEK
    if not 30 <= length < 24 * 60:
        raise invalid("The maintenance window must be at least 30 minutes and less than 24 hours.")
    return start, length


def check_windows(backup, maintenance):
    """The two must not overlap on any day."""
    start, length = maintenance_window(maintenance)
    taken = {(start + minute) % WEEK for minute in range(length)}
    begin, duration = backup_window(backup)
    for day in range(7):
        if any((day * 1440 + begin + minute) % WEEK in taken for minute in range(duration)):
            raise invalid("The backup window and maintenance window must not overlap.")


def check_range(value, least, most, what):
    if not least <= value <= most:
        raise invalid(f"Invalid {what}: {value}. It must be between {least} and {most}.")


def check_security_groups(groups):
    if not groups:
        raise invalid("At least one security group must be given.")
    for group in groups:
        if not re.fullmatch(r"sg-[0-9a-zA-Z-]+", group):
            raise invalid(f"Invalid security group , groupId= {group}, groupName=")


def check_monitoring(interval, role, known):
    """`known` tells whether a role's ARN can be used yet."""
    if interval not in (0, 1, 5, 10, 15, 30, 60):
        raise invalid(f"Invalid monitoring interval: {interval}. It must be one of 0, 1, 5, 10, 15, 30, 60.")
    if interval and not role:
        raise Fault(
            "InvalidParameterCombination",
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.",
        )
    if interval and not known(role):
        raise invalid(
            "IAM role ARN value is invalid or does not include the required permissions for: ENHANCED_MONITORING"
        )
    if not interval and role:
        raise Fault(
            "InvalidParameterCombination",
            "A MonitoringInterval value other than 0 is required if you specify a MonitoringRoleARN value.",
        )


def check_insights_retention(days):
    if days not in (7, 731) and (days % 31 or not 31 <= days <= 713):
        raise invalid(f"Invalid Performance Insights retention period: {days}. It must be 7, month * 31, or 731.")


def check_capacity(least, most, pause, floor):
    for value in (least, most):
        if value * 2 != int(value * 2):
            raise invalid(f"Serverless v2 capacity {value} isn't valid. Capacity is in half-step increments.")
    if least < floor:
        raise invalid(f"Serverless v2 minimum capacity {least} isn't valid. The minimum is {floor}.")
    if not 1 <= most <= 256 or most < least:
        raise invalid(
            f"Serverless v2 maximum capacity {most} isn't valid. The maximum capacity must be from 1.0 to 256.0 and at least the minimum."
        )
    if pause is not None:
        if least > 0:
            raise invalid("SecondsUntilAutoPause can only be set when the minimum capacity is 0.")
        check_range(pause, 300, 86400, "SecondsUntilAutoPause")


def stuck(name):
    return name in SETTINGS.stuck
