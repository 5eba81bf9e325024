"""Reads files in several processes: results in the files' order, as if one had read them all."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext

from runbook.scan.files import Source
from runbook.scan.read_file import FileReader, FileResult

MANY = 200  # below, another process costs more than it saves
_CHUNK = 20


def read_all(
    reader: FileReader, files: Sequence[Source], workers: int
) -> Iterator[FileResult | None]:
    """What each file holds, in order; None for one that cannot be parsed.

    What goes wrong in another process is raised here, as it would be without. Where processes
    cannot be had, or are killed, the rest is read in this one.
    """
    done = 0
    if workers > 1 and len(files) >= MANY:
        chunks = [range(at, min(at + _CHUNK, len(files))) for at in range(0, len(files), _CHUNK)]
        try:
            with ProcessPoolExecutor(
                workers, context(), initializer=_start, initargs=(reader, files)
            ) as pool:
                for results in pool.map(_read, chunks):
                    yield from results
                    done += len(results)
        except (BrokenProcessPool, OSError):
            pass
    yield from map(reader.read, files[done:])


def context() -> BaseContext:
    """How processes start: as copies of this one, unless it has threads or cannot be copied."""
    methods = multiprocessing.get_all_start_methods()
    if "fork" in methods and threading.active_count() == 1 and sys.platform != "darwin":
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


# What a process reads with, given to it once.
_work: list[tuple[FileReader, Sequence[Source]]] = []


def _start(reader: FileReader, files: Sequence[Source]) -> None:
    _work[:] = [(reader, files)]


def _read(numbers: Sequence[int]) -> list[FileResult | None]:
    reader, files = _work[0]
    return [reader.read(files[number]) for number in numbers]
