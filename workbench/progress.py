"""How far something long is, shown to a person who watches: on a terminal, or in a notebook.

Nothing is shown of what takes less than a second, where nobody watches (a pipe, a file, a log), or
within something that shows how far it is itself.  What was shown goes away at the end.

    with working("replaying churn"): ...       how long it has taken
    with counting("events", 10) as count: ...  a bar; count(1) for each
"""

from __future__ import annotations

import contextlib
import contextvars
import html
import sys
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from workbench.spelling import on_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    _Draws = Callable[["_Shown"], AbstractContextManager[Callable[[int], None]]]

SHOWN_AFTER_S: Final = 1.0
"""Before that a person still waits for the answer, not for a sign (Nielsen, Usability Engineering,
1993, 5.5: up to about a second a train of thought is not interrupted)."""

_EVERY_S: Final = 0.5
"""A notebook keeps what is shown in place, and is told no more often than this."""

_SHOWING: Final = threading.Lock()
"""Held by what is shown, for there is one place to show it."""


class _Shown(NamedTuple):
    """What is being done, and how much of it there is; None is not known."""

    what: str
    total: int | None


@contextlib.contextmanager
def working(what: str, *, is_shown: bool = True) -> Iterator[None]:
    """Show how long something takes, of which nothing can be counted."""
    with _shown(_Shown(what, None), is_shown=is_shown):
        yield


@contextlib.contextmanager
def counting(what: str, total: int, *, is_shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Show how many of so many are done.

    What is given is to be called with how many are done more.
    """
    with _shown(_Shown(what, total), is_shown=is_shown) as count:
        yield count


@contextlib.contextmanager
def told(
    what: str, total: int, *, progress: Callable[[int], None] | bool
) -> Iterator[Callable[[int], None]]:
    """Count for whoever asked: a function is told, True shows it, False does neither."""
    if callable(progress):
        yield progress
        return
    with counting(what, total, is_shown=progress) as count:
        yield count


@contextlib.contextmanager
def _shown(shown: _Shown, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more

    draws = _where_it_is_watched() if is_shown else None
    if draws is None or not _SHOWING.acquire(blocking=False):
        yield count
        return
    is_over = threading.Event()

    def watch() -> None:
        if is_over.wait(SHOWN_AFTER_S):
            return
        # That nobody can see it any more is no reason for what is done to fail.
        with contextlib.suppress(OSError), draws(shown) as draw:
            draw(done)
            while not is_over.wait(_EVERY_S):
                draw(done)

    # In the context of whoever began it, by which a notebook knows the cell.
    context = contextvars.copy_context()
    watcher = threading.Thread(target=context.run, args=(watch,), daemon=True)
    watcher.start()
    try:
        yield count
    finally:
        is_over.set()
        watcher.join()
        _SHOWING.release()


def _where_it_is_watched() -> _Draws | None:
    """Give what draws where a person watches; None where nobody does.

    A person waits for the main thread, and others work for it.
    """
    if threading.current_thread() is not threading.main_thread():
        return None
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is not None:
        return _in_notebook
    return _on_terminal if sys.stderr is not None and sys.stderr.isatty() else None


@contextlib.contextmanager
def _on_terminal(shown: _Shown) -> Iterator[Callable[[int], None]]:
    # Rich takes a tenth of a second to import, which what is short need not wait for.
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415

    columns: list[progress.ProgressColumn] = [progress.TextColumn("{task.description}")]
    if shown.total is None:
        columns = [progress.SpinnerColumn(), *columns, progress.TimeElapsedColumn()]
    else:
        bar, count = progress.BarColumn(), progress.MofNCompleteColumn()
        columns += [bar, count, progress.TimeRemainingColumn()]
    console = Console(stderr=True)
    with progress.Progress(*columns, console=console, transient=True) as display:
        task = display.add_task(escape(on_one_line(shown.what)), total=shown.total)
        display.tasks[0].start_time = display.get_time() - SHOWN_AFTER_S
        yield lambda done: display.update(task, completed=done)


@contextlib.contextmanager
def _in_notebook(shown: _Shown) -> Iterator[Callable[[int], None]]:
    """Keep one output of the cell up to date, which needs no widgets and is empty at the end."""
    from IPython.display import display  # noqa: PLC0415 - It is there, in a notebook.

    begun_s = time.monotonic()
    handle = display({"text/plain": ""}, raw=True, display_id=True)

    def draw(done: int) -> None:
        taken_s = SHOWN_AFTER_S + time.monotonic() - begun_s
        handle.update(_output(shown, done, taken_s), raw=True)

    try:
        yield draw
    finally:
        handle.update({"text/plain": "", "text/html": ""}, raw=True)


def _output(shown: _Shown, done: int, taken_s: float) -> dict[str, str]:
    """Give what a notebook shows, as HTML and as text."""
    said = f"{on_one_line(shown.what)}: {taken_s:,.0f} s"
    if shown.total is None:
        return {"text/plain": said, "text/html": html.escape(said)}
    left = time_left(done, shown.total, taken_s)
    said = f"{on_one_line(shown.what)}: {done:,} of {shown.total:,}{left}"
    bar = f'<progress max="{shown.total}" value="{done}"></progress>'
    return {"text/plain": said, "text/html": f"{bar} {html.escape(said)}"}


def time_left(done: int, total: int, taken_s: float) -> str:
    """Say how long the rest will take if it goes on like this, to be put behind how far it is.

    Returns
    -------
    ``, about 12 min left``; nothing before there is anything to judge by, or where all is done.
    """
    if not 0 < done < total:
        return ""
    left_s = taken_s * (total - done) / done
    for unit, seconds in (("h", 3600), ("min", 60)):
        if left_s >= 2 * seconds:
            return f", about {left_s / seconds:,.0f} {unit} left"
    return f", about {max(left_s, 1):,.0f} s left"
