"""Everything this package raises on purpose.

    WorkbenchError
    ├── UnsafePathError         a path read from a file leaves its folder            (ValueError)
    ├── CatalogError            a catalog entry is wrong, or its data cannot be had (ValueError)
    ├── CRSMismatchError        a reference system is missing, or another one       (ValueError)
    ├── TileError               a tile or its footprint cannot be used              (ValueError)
    │   └── ContractMismatchError   its units, scale or bands are not those expected
    ├── ManifestError           a manifest is incomplete or foreign                 (ValueError)
    ├── ModelError              a network does not fit its data or its weights      (ValueError)
    ├── EvaluationError         predictions, targets or scores cannot be compared   (ValueError)
    ├── MethodError             a pretext method cannot work with what it was given (ValueError)
    ├── CheckpointError         a checkpoint is damaged, foreign or of another run  (ValueError)
    ├── TrainingError           a training cannot start, or had to stop             (RuntimeError)
    ├── NotebookParameterError  a parameter is not declared, or of another type     (ValueError)
    ├── NotebookRunError        a notebook did not run to its end                   (RuntimeError)
    └── VoteError               votes are damaged, or of another comparison        (ValueError)

Each message says what must hold, what was found and in which thing, and then the cure.
"""


class WorkbenchError(Exception):
    """Base class of every error this package raises on purpose."""


class UnsafePathError(WorkbenchError, ValueError):
    """A path that was read from a file points outside the folder it belongs to."""


class CatalogError(WorkbenchError, ValueError):
    """A catalog entry is wrong, or its data cannot be had."""


class CRSMismatchError(WorkbenchError, ValueError):
    """A coordinate reference system is missing, or differs where it must not."""


class TileError(WorkbenchError, ValueError):
    """A tile or its footprint cannot be used."""


class ContractMismatchError(TileError):
    """Units, scale, bands or class codes are not the ones expected."""


class ManifestError(WorkbenchError, ValueError):
    """A manifest is incomplete, not ours, or of another version."""


class ModelError(WorkbenchError, ValueError):
    """A network does not fit the data, the weights or the use it was given."""


class EvaluationError(WorkbenchError, ValueError):
    """Predictions, targets or scores cannot be compared."""


class MethodError(WorkbenchError, ValueError):
    """A pretext method cannot work with the encoder, views or options it was given."""


class CheckpointError(WorkbenchError, ValueError):
    """A checkpoint is damaged, not ours, or of another network, data or run."""


class TrainingError(WorkbenchError, RuntimeError):
    """A training cannot start as asked, or had to stop before its end."""


class NotebookParameterError(WorkbenchError, ValueError):
    """A notebook was given a parameter it does not declare, or one of the wrong type."""


class NotebookRunError(WorkbenchError, RuntimeError):
    """A notebook did not run to its end."""


class VoteError(WorkbenchError, ValueError):
    """A file of votes is damaged, or belongs to another comparison."""
