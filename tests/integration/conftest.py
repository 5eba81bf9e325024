"""What tests of whole runs share: an application that can be shut, changed and opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook.run.folder import Run
from runbook.sample.make import make_sample
from tests.support.prepared import Prepared
from tests.support.runs import begin, until_migrated, until_snapshot
from tests.support.windows import Site, running_site


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """Runs that several tests begin with."""
    return Prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def snapshotted(prepared: Prepared) -> Run:
    """A run of the sample up to its snapshot."""
    return prepared.take("sample, snapshot", lambda folder: until_snapshot(sample_run(folder)))


@pytest.fixture
def migrated_sample(prepared: Prepared) -> Run:
    """A run of the sample up to its migration."""
    return prepared.take("sample, migrated", lambda folder: until_migrated(sample_run(folder)))


def sample_run(folder: Path) -> Run:
    """A run of a sample, both in `folder`."""
    make_sample(folder / "sample.db")
    return begin(folder / "sample.db", folder / "run")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The example application, running over a sample database."""
    with running_site(tmp_path / "site") as site:
        yield site
