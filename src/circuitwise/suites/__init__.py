"""Suites: checked sets of prompts, built in or from a file."""

from circuitwise.suites.check import check_suite as check_suite
from circuitwise.suites.check import n_equal_answers as n_equal_answers
from circuitwise.suites.files import read_suite as read_suite
from circuitwise.suites.files import write_suite as write_suite
from circuitwise.suites.make import BEHAVIOURS as BEHAVIOURS
from circuitwise.suites.make import Behaviour as Behaviour
from circuitwise.suites.make import make_suite as make_suite
from circuitwise.suites.suite import Suite as Suite
from circuitwise.suites.suite import Thresholds as Thresholds

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "Suite",
    "Thresholds",
    "check_suite",
    "make_suite",
    "n_equal_answers",
    "read_suite",
    "write_suite",
]
