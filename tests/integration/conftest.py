"""What tests of whole runs share: an application that can be shut, changed and opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.prepared import Prepared
from tests.support.windows import Site, running_site


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Runs that several tests begin with."""
    return Prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The example application, running over a sample database."""
    with running_site(tmp_path / "site") as site:
        yield site
