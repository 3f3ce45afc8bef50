"""What a chart is given in place of its frame is answered with how that frame is made."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def takes(
    source: str, *columns: str
) -> Callable[[Callable[_Parameters, _Result]], Callable[_Parameters, _Result]]:
    """Let a chart refuse whatever is not the frame it draws.

    Parameters
    ----------
    source
        How that frame is made: ``measure.address_map_frame(run)``.
    columns
        Of that frame, enough to tell it from others.
    """

    def decorate(draw: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        first = next(iter(inspect.signature(draw).parameters.values()))
        takes_several = first.kind is inspect.Parameter.VAR_POSITIONAL

        @functools.wraps(draw)
        def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
            frames = args if takes_several else args[:1]
            for frame in (*frames, *([kwargs[first.name]] if first.name in kwargs else [])):
                require_frame(draw.__name__, f"a frame of {source}", frame, columns)
            return draw(*args, **kwargs)

        return checked

    return decorate


def require_frame(chart: str, expected: str, given: object, columns: tuple[str, ...]) -> None:
    """Refuse what is no frame, and a frame that is of something else.

    Raises
    ------
    UsageError
        It is not a frame with these columns.
    """
    import pandas as pd  # noqa: PLC0415 - pandas takes a second to import.

    if not isinstance(given, pd.DataFrame):
        raise UsageError(f"{chart} takes {expected}, got a {type(given).__name__}")
    missing = [name for name in columns if name not in given]
    if missing:
        raise UsageError(f"{chart} takes {expected}, got a frame without {', '.join(missing)}")
