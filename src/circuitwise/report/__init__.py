"""What a run looks like: one page to open from disk, Markdown, tables and figures; and values in notebooks."""

from circuitwise.report.inline import Shown as Shown
from circuitwise.report.inline import show as show
from circuitwise.report.notebook import load_ipython_extension as load_ipython_extension
from circuitwise.report.notebook import unload_ipython_extension as unload_ipython_extension
from circuitwise.report.write import write_report as write_report

__all__ = ["Shown", "load_ipython_extension", "show", "unload_ipython_extension", "write_report"]
