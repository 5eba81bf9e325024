"""What a run is about: what the operator wants migrated, and from where it was begun."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from runbook.plan.plan import Plan
from runbook.run.identity import Identity


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the operator wants migrated: `options` say how the target is reached.

    `named` is the path of a file as it was given; links on the way are names of it, too.
    `plan` holds no secret; where its commands need one, `plan_file` is read again. `adopter` is
    spelled as in that file, where the key of that user is spelled otherwise. `account` began it;
    empty for the one that works here.
    """

    database: str
    identity: Identity
    plan: Plan
    operator: str = ""
    ticket: str = ""
    options: dict[str, str] = dataclasses.field(default_factory=dict)
    named: str = ""
    plan_file: str = ""
    adopter: str = ""
    account: str = ""


@dataclass(frozen=True, kw_only=True)
class RunInfo(Request):
    """The file `run.json`: what is migrated, by whom, with which software and which SQL.

    `run` is the folder's name and a random number: the ledger knows the run by it, and folders of
    one name may lie in different places. `origin` has host and time zone.
    """

    run: str
    created_at: str
    versions: dict[str, str]
    sql: dict[str, str]
    origin: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Takes the account of an older record, which had it in `origin` too, or there alone."""
        account, origin = account_of(self.account, self.origin)
        object.__setattr__(self, "account", account)
        object.__setattr__(self, "origin", origin)


def account_of(account: str, origin: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The account that began a run, and the origin without it, whichever had it in the record."""
    rest = {name: value for name, value in origin.items() if name != "account"}
    return account or origin.get("account", ""), rest
