"""A call of the command on a fleet: opens it, has it coordinated, and leaves report and seal."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from runbook import __version__
from runbook.errors import BadInput, OutcomeUnknown, Refused, RunFolderError
from runbook.fleet.coordinate import UNTIL, Choices, Coordinator, Ended, describe
from runbook.fleet.databases import Entry
from runbook.fleet.failed_notebooks import keep_failed_notebooks
from runbook.fleet.plan_digest import check_plan, digest_of_plan
from runbook.fleet.pool import Here, Pool
from runbook.fleet.records import Order, Work
from runbook.fleet.report import Written, write_fleet_report
from runbook.fleet.stop import Stop, stopped_by_ctrl_c
from runbook.fleet.store import DATABASE, Fleet, Member, new_about
from runbook.plan.read import read_plan
from runbook.run.versions import account
from runbook.targets.d1.options import D1_PREFIX
from runbook.terminal import Echo, echo_or
from runbook.wording import counted, listed

OpenPool = Callable[[Echo], contextlib.AbstractContextManager[Pool]]
"""Opens what carries orders out, for the time of the context."""


@dataclass(frozen=True)
class Wanted:
    """What the operator wants migrated.

    Attributes:
        entries: the databases; empty where the fleet knows them.
        plan: path of the plan; empty for the specification's schema, or the fleet's own.
        fleet_dir: the fleet folder; empty for a new one below `fleets/`, named after the time.
        operator: who does it; empty for the name of the account.
        ticket: what it is done for.
        options: how D1 databases are reached.
    """

    entries: Sequence[Entry] = ()
    plan: str = ""
    fleet_dir: str = ""
    operator: str = ""
    ticket: str = ""
    options: dict[str, str] = field(default_factory=dict)


def open_fleet(wanted: Wanted) -> Fleet:
    """The fleet in its folder, or a new one, with the databases that are wanted in it.

    Raises:
        BadInput: no database is named, the plan cannot be used, or the folder is another fleet's.
    """
    folder = Path(wanted.fleet_dir) if wanted.fleet_dir else None
    known = folder is not None and (folder / DATABASE).exists()
    if folder is not None and known:
        fleet = Fleet.open(folder)
        try:
            _check_known(fleet, wanted)
        except BaseException:
            fleet.close()
            raise
    else:
        fleet = _new_fleet(folder, wanted)
    return fleet


def _check_known(fleet: Fleet, wanted: Wanted) -> None:
    about = fleet.about
    if about.version != __version__:
        raise RunFolderError(
            f"The fleet in {fleet.folder} was begun with the runbook {about.version}, and this is "
            f"{__version__}; go on with that version, or begin a new fleet folder."
        )
    if digest_of_plan(wanted.plan or about.plan) != about.plan_digest:
        raise RunFolderError(
            f"The fleet folder {fleet.folder} was begun with another plan than "
            f"{wanted.plan or about.plan or 'the default'}; pass the plan that it was begun with, "
            "or begin a new fleet folder."
        )


def _new_fleet(folder: Path | None, wanted: Wanted) -> Fleet:
    if not wanted.entries:
        raise BadInput(
            "No database is named; pass --databases with a pattern such as 'tenants/*.db', or "
            "--list."
        )
    plan = read_plan(Path(wanted.plan) if wanted.plan else None)
    check_plan(plan)
    whole = str(Path(wanted.plan).resolve()) if wanted.plan else ""
    if folder is None:
        folder = Path("fleets", f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{plan.migration.name}")
    about = new_about(folder, whole, digest_of_plan(whole), plan.migration.name)
    return Fleet.create(
        folder,
        dataclasses.replace(
            about,
            operator=wanted.operator or account(),
            ticket=wanted.ticket,
            options=dict(wanted.options),
        ),
    )


def run_fleet(wanted: Wanted, choices: Choices, open_pool: OpenPool) -> Path:
    """Brings every database of a fleet as far as it should go; the fleet's folder.

    Raises:
        BadInput: something that was passed cannot be used; nothing was changed.
        Refused: not every database came there; the lines before say which.
        OutcomeUnknown: of a database it is not known whether it was migrated.
    """
    if choices.until not in UNTIL:
        raise BadInput(
            f'A fleet does not end after "{choices.until}"; --until takes one of '
            f"{', '.join(UNTIL)}."
        )
    with contextlib.closing(open_fleet(wanted)) as fleet, _call(fleet, choices) as call:
        choices.echo(f"Fleet {fleet.folder}")
        fleet.add(wanted.entries)
        coordinator = Coordinator(fleet, call.choices, call.order, call.stop)
        with _pool_if_needed(coordinator.has_work(), open_pool, choices.echo) as pool:
            call.conclude(lambda: coordinator.run(pool))
        return fleet.folder


def roll_back_fleet(
    folder: Path,
    choices: Choices,
    open_pool: OpenPool,
    *,
    only: frozenset[str] | None = None,
    discard_organizations: bool = False,
) -> None:
    """Takes the migration of every database back, or of those that are named.

    Raises:
        BadInput: a name is none of the fleet's.
        Refused: not every database could be taken back; the lines before say which.
        OutcomeUnknown: of a database it is not known.
    """
    with contextlib.closing(Fleet.open(folder)) as fleet, _call(fleet, choices) as call:
        members = list(fleet.members())
        strangers = (only or frozenset()) - {member.database for member in members}
        if strangers:
            raise BadInput(
                f"{min(strangers)} is no database of the fleet {folder}; check the list of --only."
            )
        chosen = [
            member
            for member in members
            if (only is None or member.database in only)
            and member.state in ("after", "failed", "running", "unknown")
        ]
        choices.echo(f"Fleet {folder}: {counted(len(chosen), 'database')} to take back")
        call = dataclasses.replace(call, discard_organizations=discard_organizations)
        with _pool_if_needed(bool(chosen), open_pool, choices.echo) as pool:
            coordinator = Coordinator(fleet, call.choices, call.order, call.stop)
            call.conclude(lambda: coordinator.roll_back(pool, chosen))


def _pool_if_needed(
    needed: bool, open_pool: OpenPool, echo: Echo
) -> contextlib.AbstractContextManager[Pool]:
    """Workers where there is something for them to do: they take seconds to start."""
    return open_pool(echo) if needed else contextlib.nullcontext(Here())


@dataclass(frozen=True)
class _Call:
    """What one call needs: the fleet, held alone, and who may stop it."""

    fleet: Fleet
    choices: Choices
    stop: Stop
    discard_organizations: bool = False

    def order(self, member: Member, work: Work) -> Order:
        """What a worker is to do with one database."""
        about, until = self.fleet.about, self.choices.until
        left_out = () if self.choices.rehearse_all else ("rehearse",)
        return Order(
            number=member.number,
            database=member.database,
            run_dir=str((self.fleet.folder / member.run).resolve()),
            plan=about.plan,
            plan_digest=about.plan_digest,
            version=about.version,
            work=work,
            until=until,
            leave_out=left_out if until == "report" else (*left_out, "report"),
            how=f"fleet {about.name}, {'--yes' if self.choices.yes else 'terminal'}",
            operator=about.operator,
            ticket=about.ticket,
            options=about.options if member.database.startswith(D1_PREFIX) else {},
            discard_organizations=self.discard_organizations,
        )

    def conclude(self, work: Callable[[], Ended]) -> None:
        """Does the work, and prints where every database is then; report and seal say the same.

        Raises:
            Refused, OutcomeUnknown: it did not end as it should.
        """
        try:
            ended = work()
        except BaseException:
            with contextlib.suppress(RunFolderError):
                self._write(Ended("the call was cut off"))
            raise
        if self.choices.notebooks:
            keep_failed_notebooks(self.fleet, self.choices.echo)
        self._judge(ended, self._write(ended))

    def _write(self, ended: Ended) -> Written:
        for line in describe(self.fleet, ended):
            self.choices.echo(line)
        sealed = write_fleet_report(self.fleet)
        self.choices.echo(f"  report {sealed.page}")
        self.choices.echo(f"  seal   {sealed.root} over {counted(sealed.leaves, 'run')}")
        return sealed

    def _judge(self, ended: Ended, written: Written) -> None:
        counts = self.fleet.counts()
        if counts.get("unknown"):
            raise OutcomeUnknown(
                f"Of {counted(counts['unknown'], 'database')} it is not known whether the "
                f"migration happened; the report in {self.fleet.folder} names them."
            )
        if ended.stopped:
            raise Refused(
                f"The fleet stopped, because {ended.stopped}; call the same command again to go on."
            )
        if ended.failures:
            raise Refused(
                f"{counted(ended.failures, 'database')} of {sum(counts.values()):,} failed, and "
                f"the report in {self.fleet.folder} gives each reason."
            )
        if written.altered:
            raise Refused(
                f"{counted(len(written.altered), 'record was', 'records were')} altered after the "
                f"run had ended (of {listed(written.altered, 3)}); put the original back, or call "
                "`runbook fleet report`, which seals them as they are."
            )


@contextlib.contextmanager
def _call(fleet: Fleet, choices: Choices) -> Iterator[_Call]:
    """The fleet held alone, its lines lasting, and Ctrl-C letting databases end."""
    lost: list[str] = []
    echo = echo_or(lambda line, error: lost.append(line), choices.echo)
    stop = Stop()
    with fleet.locked(), stopped_by_ctrl_c(stop, echo):
        yield _Call(fleet, dataclasses.replace(choices, echo=echo), stop)
