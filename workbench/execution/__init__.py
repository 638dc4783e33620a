"""Headless execution: notebooks as jobs, with typed parameters, records and a report.

run_notebook        one notebook, with checked parameters, into a run folder
RunFolder           where a notebook leaves its tables, figures, pages and numbers
check_parameters    typed values against what a notebook declares, before a kernel starts
StepRecord          what is known of a step: status, parameters, cells, outputs, provenance
"""

from workbench.execution.artifacts import RunFolder
from workbench.execution.notebooks import run_notebook
from workbench.execution.offline import external_references
from workbench.execution.parameters import check_parameters, declared_parameters, parse_parameters
from workbench.execution.records import StepRecord

__all__ = [
    "RunFolder",
    "StepRecord",
    "check_parameters",
    "declared_parameters",
    "external_references",
    "parse_parameters",
    "run_notebook",
]
