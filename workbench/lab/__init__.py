"""Throwaway guests: a scenario in, a live QEMU guest that performs it, and nothing left behind."""

from workbench.lab.chance import random_overcommit_scenario, random_scenario
from workbench.lab.run import OpenCapture, Recorder, run_lab
from workbench.lab.scenario import (
    Scenario,
    Step,
    bundled_scenarios,
    load_scenario,
    parse_scenario,
)
from workbench.lab.settings import LabSettings, parse_poison
from workbench.lab.sizes import parse_size
from workbench.lab.transcript import Transcript

__all__ = [
    "LabSettings",
    "OpenCapture",
    "Recorder",
    "Scenario",
    "Step",
    "Transcript",
    "bundled_scenarios",
    "load_scenario",
    "parse_poison",
    "parse_scenario",
    "parse_size",
    "random_overcommit_scenario",
    "random_scenario",
    "run_lab",
]
