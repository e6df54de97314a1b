"""Behaviour studies: from prompts to a circuit and what is shown about it, in a folder that can be resumed."""

from circuitwise.study.plan import STAGES as STAGES
from circuitwise.study.plan import Plan as Plan
from circuitwise.study.plan import Stage as Stage
from circuitwise.study.run import Run as Run
from circuitwise.study.study import Study as Study

__all__ = ["Plan", "Run", "STAGES", "Stage", "Study"]
