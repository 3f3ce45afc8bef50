"""The folder of a result: replaced in one step, and never anything else with it."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def check_output(folder: Path) -> None:
    """Refuse to replace anything but an earlier result.

    Raises
    ------
    UsageError
        There is something else at `folder`.
    """
    from workbench.measure import RESULT_NAME

    is_result = (folder / RESULT_NAME).is_file()
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_result and not is_empty:
        raise UsageError(f"{folder}: exists and is no earlier result; name another folder")


@contextlib.contextmanager
def fresh_result(document: dict[str, Any], folder: Path) -> Iterator[Path]:
    """Give a folder to fill, with the document in it, and put it in place when it is full."""
    from workbench.measure import RESULT_NAME

    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
        fresh = Path(made) / "result"
        fresh.mkdir()
        text = json.dumps(document, sort_keys=True, indent=2, allow_nan=False)
        (fresh / RESULT_NAME).write_text(f"{text}\n", encoding="utf-8")
        yield fresh
        if folder.exists():
            # The old result goes to the temporary folder, and with it.
            shutil.move(folder, Path(made) / "old")
        fresh.rename(folder)
