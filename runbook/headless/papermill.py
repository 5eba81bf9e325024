"""Runs notebooks headless with Papermill, each in a kernel that was started beforehand.

Papermill's own status is no evidence: a dead kernel leaves every cell "completed". A stage has
succeeded when its record says *finished*, and not otherwise.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.errors import RunbookError, RunFolderError
from runbook.files import private
from runbook.headless.account import provided
from runbook.headless.fork_server import warm_up
from runbook.headless.lazy_imports import without
from runbook.headless.progress_bar import watched
from runbook.run.check import check_finished, named_error
from runbook.run.folder import Run, StageRecord, file_stem
from runbook.run.notebooks import NOTEBOOKS, described, keep_notebook
from runbook.window.state import pending_step

if TYPE_CHECKING:
    from runbook.headless.kernels import Kernels

Execute = Callable[[Run, str, Mapping[str, object]], None]
"""Executes the notebook of one stage; raises what was recorded as its failure."""

CELL_SECONDS: int | None = None
"""A cell may take as long as it likes: a migration's time depends on the database alone."""

INTERRUPT_SECONDS = 30.0
"""How long an interrupted stage may take to roll back before its kernel is killed."""


@contextlib.contextmanager
def kernels(log: Path) -> Iterator[Kernels]:
    """Kernels for the time of the context; what they print goes to the file `log`."""
    warm_up()  # while this process imports what a driver needs
    from runbook.headless.kernels import Kernels

    pool = Kernels(log)
    try:
        yield pool
    finally:
        pool.close()


@contextlib.contextmanager
def notebooks(run: Run) -> Iterator[Execute]:
    """Executes stages as notebooks; the kernel of the next one starts while one is at work."""
    with provided(), kernels(run.folder / "notebooks" / "kernels.log") as pool:
        pool.start()

        def execute_next(run: Run, stage: str, parameters: Mapping[str, object]) -> None:
            if stage != "report":  # which is always the last
                pool.start()
            execute(run, stage, parameters, pool)

        yield execute_next


def execute(run: Run, stage: str, parameters: Mapping[str, object], pool: Kernels) -> None:
    """Executes the notebook of `stage` into the run folder and checks its record.

    Raises:
        RunbookError: what the stage recorded as its failure, of the class that it had there, or
            that it left no finished record at all; or the failure of a step of the window.
        KeyboardInterrupt: after the stage was interrupted too and has let go of the run folder.
    """
    name = f"{file_stem(stage)}.ipynb"
    earlier = None if stands(run, stage) else _record(run, stage)
    manager = pool.take()
    problem: Exception | None = None
    with tempfile.TemporaryDirectory(
        dir=run.folder / "notebooks", prefix=".", suffix=".tmp", ignore_cleanup_errors=True
    ) as scratch:
        output = Path(scratch) / name
        try:
            with private(), watched(run.folder):
                _papermill(NOTEBOOKS / name, output, parameters, manager)
        except KeyboardInterrupt:
            _interrupt(run, manager)
            raise
        except Exception as error:  # whatever it says, the record decides
            problem = error
            run.log(stage, "notebook", error=f"{type(error).__name__}: {str(error)[:500]}")
        finally:
            pool.end(manager)
        _keep(run, stage, output)
    check_finished(run, stage, earlier=earlier, problem=problem)
    _check_steps(run, stage, problem)


def _check_steps(run: Run, stage: str, problem: Exception | None) -> None:
    """Raises unless the steps of the window that follow the stage in its notebook are done."""
    name = pending_step(run, stage)
    if not name:
        return
    if (error := named_error(problem)) is not None:
        raise error
    raise RunbookError(
        f"The notebook {file_stem(stage)} ended before the step {name.replace('_', ' ')} was done; "
        "call the same command again, which goes on."
    )


def _record(run: Run, stage: str) -> StageRecord | None:
    """The stage's record; None also where it is damaged, for then it is written anew."""
    try:
        return run.record(stage)
    except RunFolderError:
        return None


def stands(run: Run, stage: str) -> bool:
    """Whether the stage will show the result that it has already."""
    try:
        return stage != "report" and run.finished(stage)
    except RunFolderError:
        return False


def _interrupt(run: Run, manager: Any) -> None:
    """Interrupts the kernel, which rolls back and records it, and waits until it has done so."""
    from nbclient.util import run_sync

    # The interrupted event loop would report tasks that nothing waits for any more.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    with contextlib.suppress(Exception):
        run_sync(manager.interrupt_kernel)()
        with run.locked(wait=INTERRUPT_SECONDS, echo=lambda line: None):
            pass


def _keep(run: Run, stage: str, output: Path) -> None:
    """Keeps what was executed, also of a failure."""
    if not output.exists():
        return
    record = _record(run, stage)
    about = {"way": "headless", "attempt": record.order if record else 0}
    try:
        content = described(output.read_bytes(), run.folder, about)
        keep_notebook(run.folder, output.name, content)
    except (OSError, RunbookError) as error:
        run.log("notebook", "lost", error=f"{output.name}: {error}")


def import_papermill() -> Any:
    """Papermill, which would import pyarrow for notebooks on Hadoop."""
    with without("pyarrow.fs"):
        import papermill

        return papermill


def _papermill(source: Path, output: Path, parameters: Mapping[str, object], manager: Any) -> None:
    papermill = import_papermill()
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines

    class StartedKernel(NBClientEngine):  # type: ignore[misc]
        """Papermill's own engine, but for the kernel, which is already there."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
            try:
                PapermillNotebookClient(nb_man, km=manager, timeout=CELL_SECONDS).execute()
            finally:
                nb_man.output_path = str(output)  # written now, whatever came of it

    papermill_engines.register("runbook", StartedKernel)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        papermill.execute_notebook(
            source,
            output,
            parameters=dict(parameters),
            engine_name="runbook",
            kernel_name=manager.kernel_name,
            progress_bar=False,
            log_output=False,
            # Nothing reads what is half executed, and to write it takes as long as a small cell.
            request_save_on_cell_execute=False,
        )
