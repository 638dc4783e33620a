"""Headless execution: notebooks as jobs, with typed parameters, records and a report.

run_chain           notebooks in the order of what they need; finished steps are left alone
run_sweep           a chain for every combination of parameter values
run_notebook        one notebook, with checked parameters, into a run folder
run_torchrun        one training in several processes, followed from a notebook
submit              runs as jobs of Slurm, or as processes of this machine
compare_runs        what differs between two runs: parameters, code, numbers, tables, figures
list_runs           the runs that were made, with the status that is true now
RunFolder           where a notebook leaves its tables, figures, pages and numbers
check_parameters    typed values against what a notebook declares, before a kernel starts
external_references what a page would fetch from the network
StepRecord          what is known of a step: status, parameters, cells, outputs, provenance
RunRecord           what is known of a run: its steps, and what was done about each
RunOptions          how a chain is run; nothing of it changes a result
ClusterOptions      what is asked of a cluster for each job
ChainTask           one run, as it is carried to a cluster
"""

from workbench.execution.artifacts import RunFolder
from workbench.execution.cluster import ChainTask, ClusterOptions, submit
from workbench.execution.history import list_runs
from workbench.execution.launch import run_torchrun
from workbench.execution.notebooks import run_notebook
from workbench.execution.offline import external_references
from workbench.execution.opening import results_of
from workbench.execution.parameters import check_parameters
from workbench.execution.records import RunRecord, StepNote, StepRecord
from workbench.execution.run_comparison import compare_runs
from workbench.execution.runs import RunOptions, run_chain
from workbench.execution.sweeps import run_sweep

__all__ = [
    "ChainTask",
    "ClusterOptions",
    "RunFolder",
    "RunOptions",
    "RunRecord",
    "StepNote",
    "StepRecord",
    "check_parameters",
    "compare_runs",
    "external_references",
    "list_runs",
    "results_of",
    "run_chain",
    "run_notebook",
    "run_sweep",
    "run_torchrun",
    "submit",
]
