"""Wrong names, answered with the closest right one; and names that anybody chose, made harmless."""

from __future__ import annotations

import functools
import inspect
import re
import unicodedata
from typing import TYPE_CHECKING, Final, NoReturn, ParamSpec, TypeVar

from workbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Value = TypeVar("_Value")

_UNUSUAL: Final = re.compile(r"[^\x20-\x7e\n\t]")
"""What has to be looked up: most text is ASCII."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of what is obeyed rather than seen: controls, formats such as a turn of
the reading direction, and code points that are no characters."""


class UnknownNameError(UsageError, KeyError):
    """A mapping has no such name.  It is a KeyError too, as of any mapping."""

    __str__ = Exception.__str__  # KeyError would put the sentence in quotes.


class UnknownParameterError(UsageError, TypeError):
    """A function has no such parameter.  It is a TypeError too, as of any function."""


def suggestion(name: str, known: Iterable[str], *, otherwise: str = "", most: int = 1) -> str:
    """Say which known names a wrong one is like, to be put behind what was wrong with it.

    Parameters
    ----------
    otherwise
        What to say where none is like it.
    most
        Names to suggest at most.

    Returns
    -------
    ``; did you mean 'replay'?``, or a semicolon and `otherwise`, or nothing.
    """
    import difflib  # noqa: PLC0415 - Only those wait for it who made a mistake.

    names = list(known)
    # The unit at the end of a name is what people leave out.
    meant = {each.lower().rpartition("_")[0]: each for each in names if "_" in each}
    meant |= {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), meant, n=most)
    if close:
        shown = dict.fromkeys(repr(meant[each]) for each in close)
        return f"; did you mean {' or '.join(shown)}?"
    return otherwise and f"; {otherwise}"


class Named(dict[str, _Value]):
    """A dictionary that answers a wrong name with the closest right one.

    Parameters
    ----------
    what
        What its names are of, for the message: ``metric``.
    """

    def __init__(
        self, content: Mapping[str, _Value] | Iterable[tuple[str, _Value]] = (), what: str = "name"
    ) -> None:
        super().__init__(content)
        self.what = what

    def __missing__(self, name: str) -> _Value:
        there_are = f"there are {', '.join(self)}"
        raise UnknownNameError(
            f"there is no {self.what} {name!r}{suggestion(str(name), self, otherwise=there_are)}"
        )

    def __reduce__(self) -> tuple[type[Named[_Value]], tuple[dict[str, _Value], str]]:
        return (type(self), (dict(self), self.what))


def checks_names(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Answer a keyword that the function does not have with the closest one it has."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        for name in kwargs:
            if name not in known:
                there_are = f"there are {', '.join(known)}"
                raise UnknownParameterError(
                    f"{function.__name__} has no parameter {name!r}"
                    f"{suggestion(name, known, otherwise=there_are)}"
                )
        return function(*args, **kwargs)

    return checked


def only(
    package: str, names: Sequence[str]
) -> tuple[Callable[[str], NoReturn], Callable[[], list[str]]]:
    """Give the `__getattr__` and the `__dir__` (PEP 562) of a package that has only these names.

    Completion then offers these and nothing else, and any other is answered with the closest.
    """

    def missing(name: str) -> NoReturn:
        # With `name` the interpreter takes the error as it is, and suggests nothing once more.
        raise AttributeError(f"{package} has no {name!r}{suggestion(name, names)}", name=name)

    return missing, lambda: sorted(names)


def visible(text: str) -> str:
    """Spell out what is obeyed rather than seen, but for tabs and ends of lines.

    Names in a trace may be anything.
    """
    return _UNUSUAL.sub(_spelled, text)


def on_one_line(text: str) -> str:
    """Spell out tabs and ends of lines too, where a name stands among others."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def shorten(text: str, most: int) -> str:
    """Cut a text to so many characters: names often differ at their ends."""
    if len(text) <= most:
        return text
    kept = max(most - 1, 1)
    behind = kept // 2
    return f"{text[: kept - behind]}…{text[len(text) - behind :]}"


def _spelled(found: re.Match[str]) -> str:
    character = found[0]
    return ascii(character)[1:-1] if unicodedata.category(character) in _UNSEEN else character
