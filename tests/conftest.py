"""What all tests share: small databases, the public ones where they can be had, and the luck.

Hypothesis takes the same examples every time, so that `make test` fails for a reason and never by
chance. RUNBOOK_EXPLORE=1 (as in `make faults`) takes fresh ones and prints what they find, which
then belongs into the test as an example.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from runbook.cache import clear_caches
from runbook.sample.make import make_sample
from tests.support.luck import EXPLORE
from tests.support.outputs import PROBLEMS, outputs_watched
from tests.support.paths import PUBLIC

settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if EXPLORE else "ci")


@pytest.fixture(autouse=True, scope="session")
def _outputs() -> Iterator[None]:
    """Every output is held against its published schema as it is written."""
    with outputs_watched():
        yield


@pytest.fixture(autouse=True)
def _outputs_follow_their_schemas() -> Iterator[None]:
    yield
    problems = list(PROBLEMS)
    PROBLEMS.clear()
    assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def _no_answers_of_patched_code(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a process keeps was made by the code as it was: a test that patches it starts afresh."""
    patched = "monkeypatch" in request.fixturenames
    if patched:
        clear_caches()
    yield
    if patched:
        clear_caches()


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A fresh sample database: 200 users, 1,000 projects."""
    path = tmp_path / "sample.db"
    make_sample(path)
    return path


@pytest.fixture
def public(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a public database, `chinook` or `northwind`."""

    def copy(name: str) -> Path:
        source = PUBLIC / f"{name}.db"
        if not source.exists():
            pytest.skip(f"the public database {name}.db is not beside the project (shared/data)")
        return Path(shutil.copy(source, tmp_path / f"{name}.db"))

    return copy


@pytest.fixture(scope="session")
def situations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports of seven real runs that ended in seven ways, by their names."""
    from tests.support.situations import write_reports

    return write_reports(tmp_path_factory.mktemp("situations"))
