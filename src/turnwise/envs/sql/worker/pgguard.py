"""What PostgreSQL is not asked at all: kinds of statements, and functions, by their names.

This is the first of two fences. The second is the server's: the roles hold no rights for any of it.
"""

import re

from turnwise.envs.sql.compare import words

_READING = frozenset({"select", "with", "values", "table"})
_WRITING = _READING | {"insert", "update", "delete", "create", "alter", "drop", "truncate"}
_OBJECTS = frozenset({"table", "index", "view", "unique", "materialized", "or", "temp", "temporary"})
_FUNCTION = re.compile(
    r"(?i)\b(pg_(?!catalog\b|typeof\b|get_)\w+|lo_\w+|loread|lowrite|dblink\w*|set_config|current_setting|nextval|setval|"
    r"currval|lastval|(?:query|cursor|table|schema|database)_to_xml\w*|ts_stat|random|setseed|gen_random_uuid|now|"
    r"clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|current_(?:date|time|timestamp)|"
    r"local(?:time|timestamp)|version|inet_\w+|txid_\w+|has_\w+_privilege|current_user|session_user|current_role)\b"
)
_NAMES = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)

FUNCTIONS = (
    "pg_sleep(double precision)",
    "pg_sleep_for(interval)",
    "pg_sleep_until(timestamp with time zone)",
    "set_config(text, text, boolean)",
    "pg_notify(text, text)",
    "pg_cancel_backend(integer)",
    "pg_terminate_backend(integer, bigint)",
    "query_to_xml(text, boolean, boolean, text)",
    "query_to_xml_and_xmlschema(text, boolean, boolean, text)",
    "query_to_xmlschema(text, boolean, boolean, text)",
    "database_to_xml(boolean, boolean, text)",
    "ts_stat(text)",
    "ts_stat(text, text)",
    "lo_creat(integer)",
    "lo_create(oid)",
    "lo_from_bytea(oid, bytea)",
    "lo_get(oid)",
    "lo_open(oid, integer)",
    "lo_put(oid, bigint, bytea)",
    "lo_unlink(oid)",
    "pg_advisory_lock(bigint)",
    "pg_advisory_lock(integer, integer)",
    "pg_advisory_lock_shared(bigint)",
    "pg_advisory_xact_lock(bigint)",
    "pg_try_advisory_lock(bigint)",
    "random()",
)
"""Taken from everybody in each database that is made."""


def reads(sql: str) -> bool:
    """Whether a statement begins as one that returns rows."""
    first = next((word for word, _, _ in words(sql) if word[0].isalnum() or word[0] == "_"), "")
    return first in _READING or first == "explain"


def refusal(sql: str, *, write: bool) -> str | None:
    """Say why a statement is refused; None if the server may see it."""
    if len(sql) > 100_000:
        return "the statement is longer than 100000 characters"
    if "\0" in sql:
        return "the statement contains a null character"
    if re.search(r"(?i)u&[\"']", sql) or "$$" in sql or re.search(r"\$[A-Za-z_]\w*\$", sql):
        return "Unicode escapes and dollar quotes are not allowed"
    listed = [word for word, _, depth in words(sql) if word[0].isalnum() or word[0] in "_("]
    plain = [word for word in listed if word != "("]
    first = plain[0] if plain else ""
    allowed = _WRITING if write else _READING
    if first not in allowed:
        kind = first.upper()[:40] or "an empty statement"
        return f"{kind} is not allowed" + ("" if write else ": the database is read-only")
    if first in {"create", "alter", "drop"} and (len(plain) < 2 or plain[1] not in _OBJECTS):
        return f"{first.upper()} is allowed for tables, indexes and views only"
    return _refused_words(sql, plain, first, write=write)


def _refused_words(sql: str, plain: list[str], first: str, *, write: bool) -> str | None:
    # Names in double quotes are looked at too: "pg_sleep"(1) calls the function.
    found = _FUNCTION.search(_NAMES.sub(" ", sql).replace('"', " "))
    if found:
        return f"{found[0].lower()} is not available"
    if not write and first in {"select", "with"} and "into" in plain:
        return "SELECT INTO is not allowed: the database is read-only"
    if not write and {"insert", "update", "delete", "merge"} & set(plain[1:]) and first == "with":
        return "a statement that changes the database is not allowed: the database is read-only"
    return None
