"""What a run looks like: one page to open from disk, Markdown, tables and figures; and values in notebooks."""

from circuitwise.report.inline import Shown as Shown
from circuitwise.report.inline import show as show
from circuitwise.report.write import write_report as write_report

__all__ = ["Shown", "show", "write_report"]
