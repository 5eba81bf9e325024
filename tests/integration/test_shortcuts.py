"""A shortcut may only ever say less: what it shows to hold does hold when asked in full."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from runbook.audit import invariants
from tests.support.small_schema import KEYS, PLAN, SCHEMA
from tests.support.witnessed import Migrated, migrate

USERS = st.sampled_from(["u1", "u2", "u3", "u4", "ghost"])
ORGANIZATION = st.one_of(
    USERS.map(lambda user: f"'org-' || {{{user}}}"),
    USERS.map(lambda user: f"(SELECT id FROM organizations WHERE owner_id = {{{user}}})"),
    st.sampled_from(["NULL", "'team'", "''"]),
)
# Keys as another storage class writes them, which a comparison of texts may take for the same.
USER = st.one_of(
    USERS.map(lambda user: f"{{{user}}}"),
    USERS.map(lambda user: f"CAST({{{user}}} AS TEXT)"),
    USERS.map(lambda user: f"CAST({{{user}}} AS BLOB)"),
    st.just("NULL"),
)
DAMAGE = st.one_of(
    st.builds(
        "UPDATE projects SET organization_id = {0} WHERE id = {1};".format,
        ORGANIZATION,
        st.integers(1, 4),
    ),
    st.builds("UPDATE projects SET owner_id = {0} WHERE id = {1};".format, USER, st.integers(1, 4)),
    st.builds(
        "UPDATE notes SET organization_id = {0} WHERE owner_id = {1};".format, ORGANIZATION, USER
    ),
    st.builds("UPDATE organizations SET owner_id = {0} WHERE owner_id = {1};".format, USER, USER),
    st.builds("UPDATE organizations SET type = 'team' WHERE owner_id = {0};".format, USER),
    st.builds("UPDATE organizations SET id = 'team' WHERE owner_id = {0};".format, USER),
    st.builds("DELETE FROM organizations WHERE owner_id = {0};".format, USER),
    st.builds(
        "UPDATE organization_memberships SET user_id = {0} WHERE user_id = {1};".format, USER, USER
    ),
    st.builds(
        "UPDATE organization_memberships SET organization_id = {0} WHERE user_id = {1};".format,
        ORGANIZATION,
        USER,
    ),
    st.builds("DELETE FROM organization_memberships WHERE user_id = {0};".format, USER),
    st.builds(
        "INSERT INTO organization_memberships (id, organization_id, user_id, role)"
        " VALUES (hex(randomblob(8)), {0}, {1}, 'member');".format,
        ORGANIZATION,
        USER,
    ),
)


@pytest.fixture(scope="module", params=KEYS)
def opened(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Migrated, sqlite3.Connection]]:
    """A migrated database with its backup; what a test does to it is rolled back."""
    kind = request.param
    done = migrate(tmp_path_factory.mktemp(kind), SCHEMA.format(type=kind, **KEYS[kind]), plan=PLAN)
    with closing(sqlite3.connect(done.after, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS before", (str(done.before),))
        yield kind, done, connection


def asked(done: Migrated, connection: sqlite3.Connection) -> dict[str, int]:
    seen = invariants.ask_sqlite(connection, done.plan, done.shape)
    return {name: one.violations for name, one in seen.items()}


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=st.lists(DAMAGE, min_size=1, max_size=3))
def test_a_shortcut_hides_nothing(
    opened: tuple[str, Migrated, sqlite3.Connection], damage: list[str]
) -> None:
    kind, done, connection = opened
    shown: list[bool] = []
    real = invariants._none_found

    def watched(*given: object) -> bool:
        shown.append(real(*given))  # type: ignore[arg-type]
        return shown[-1]

    connection.execute("BEGIN")
    try:
        for statement in damage:
            try:
                connection.execute(statement.format(**KEYS[kind]))
            except sqlite3.IntegrityError:  # NOT NULL and UNIQUE keep some of it out
                event("refused")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(invariants, "_none_found", watched)
            quickly = asked(done, connection)
            patch.setattr(invariants, "_none_found", lambda *given: False)
            in_full = asked(done, connection)
    finally:
        connection.execute("ROLLBACK")
    event(f"shown: {any(shown)}, violated: {any(in_full.values())}")
    assert quickly == in_full


def test_both_are_used_and_one_that_always_says_yes_is_found_out(
    opened: tuple[str, Migrated, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, done, connection = opened
    real, shown = invariants._none_found, []
    monkeypatch.setattr(
        invariants, "_none_found", lambda *given: shown.append(real(*given)) or shown[-1]
    )
    assert not any(asked(done, connection).values())
    assert shown == [True, True], "an untouched database needs no invariant of these asked in full"
    connection.execute("BEGIN")
    try:
        connection.execute(
            "UPDATE projects SET organization_id = 'org-' || {u2} WHERE id = 1".format(**KEYS[kind])
        )
        assert asked(done, connection)["resources_of_another_owner"] == 1
        monkeypatch.setattr(invariants, "_none_found", lambda *given: True)
        assert not any(asked(done, connection).values())
    finally:
        connection.execute("ROLLBACK")
