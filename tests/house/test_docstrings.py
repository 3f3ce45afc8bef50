"""Docstrings name what a caller must give, and their examples are true."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re

import pytest

ROOMS = ("trace", "replay", "measure", "plot")
PACKAGES = {room: importlib.import_module(f"workbench.{room}") for room in ROOMS}

TELLING = {name for package in PACKAGES.values() for name in package.__all__}
TELLING |= {"Path", "Axes", "Figure"}
"""Types that say what a parameter is; of a number or a text only the docstring can."""


def public():
    """Every function and class that people import, by its full name."""
    return {
        f"{room}.{name}": getattr(package, name)
        for room, package in PACKAGES.items()
        for name in package.__all__
        if callable(getattr(package, name))
    }


def functions():
    """The functions among them, and the methods of the classes."""
    for name, thing in public().items():
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            yield from (
                (f"{name}.{each}", method)
                for each, method in vars(thing).items()
                if inspect.isfunction(method) and not each.startswith("_")
            )


@pytest.mark.parametrize(("name", "function"), [*functions()])
def test_a_parameter_is_explained_by_its_type_or_in_the_docstring(name, function):
    said = inspect.getdoc(function) or ""
    unexplained = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self"
        and not TELLING & set(re.findall(r"\w+", str(parameter.annotation)))
        and not re.search(rf"\b{parameter.name}\b", said)
    ]

    assert unexplained == [], name


def test_the_examples_are_true():
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for name, thing in public().items():
        scope = vars(inspect.getmodule(thing)) if inspect.getmodule(thing) else {}
        for example in finder.find(thing, name, globs=dict(scope)):
            runner.run(example)

    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 20
