"""The errors a user can meet, each with the exit code scripts rely on.

A message says where, what was found, what was expected, and what to do, in one sentence.
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """Something went wrong that has a sentence to explain it."""

    exit_code = 1


class UsageError(WorkbenchError):
    """The caller asked for something that does not exist, or in the wrong words."""

    exit_code = 2


class InputError(WorkbenchError):
    """A file cannot be used as it is."""

    exit_code = 3


class HostError(WorkbenchError):
    """The host cannot do what was asked; the message names what to install or change."""

    exit_code = 4


class WriteError(HostError):
    """A file cannot be written: no room, or no right."""


class LostEventsError(WorkbenchError):
    """Events were lost, and the caller did not allow that."""

    exit_code = 7


class UnidentifiableError(WorkbenchError):
    """The trace does not hold what the question needs."""

    exit_code = 8
