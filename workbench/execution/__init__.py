"""Headless execution: notebooks as jobs, with typed parameters, records and a report.

run_chain           notebooks in the order of what they need; finished steps are left alone
run_notebook        one notebook, with checked parameters, into a run folder
RunFolder           where a notebook leaves its tables, figures, pages and numbers
check_parameters    typed values against what a notebook declares, before a kernel starts
external_references what a page would fetch from the network
StepRecord          what is known of a step: status, parameters, cells, outputs, provenance
RunRecord           what is known of a run: its steps, and what was done about each
"""

from workbench.execution.artifacts import RunFolder
from workbench.execution.notebooks import run_notebook
from workbench.execution.offline import external_references
from workbench.execution.parameters import check_parameters
from workbench.execution.records import RunRecord, StepNote, StepRecord
from workbench.execution.runs import run_chain

__all__ = [
    "RunFolder",
    "RunRecord",
    "StepNote",
    "StepRecord",
    "check_parameters",
    "external_references",
    "run_chain",
    "run_notebook",
]
