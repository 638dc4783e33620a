"""What a run tells while it goes: a table of metrics, TensorBoard, MLflow."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.datasets.files import whole_file
from workbench.errors import TrainingError

METRICS = "metrics.csv"


class MetricsLog:
    """Rows of metrics, one per logged step, in every place that was asked for.

    A run that goes on from a step drops the rows after it, so that each step has one row.

    Args:
        folder: Of the run: metrics.csv, and the folder tensorboard.
        loggers: Any of "csv", "tensorboard" and "mlflow".
        start: First step that will be logged.

    Raises:
        TrainingError: If MLflow is asked for and not installed.
    """

    def __init__(self, folder: Path, loggers: tuple[str, ...], *, start: int) -> None:
        self.path = folder / METRICS
        self._columns: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._csv = "csv" in loggers
        if self._csv:
            self._take_up(start)
        self._others: list[Any] = []
        if "tensorboard" in loggers:
            self._others.append(_TensorBoard(folder / "tensorboard", start))
        if "mlflow" in loggers:
            self._others.append(_MLflow(folder.name))

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row."""
        row = {"step": step, **values}
        if self._csv:
            new = [name for name in row if name not in self._columns]
            self._columns += new
            self._rows.append(row)
            if new:
                self._write_all()
            else:
                with self.path.open("a", encoding="utf-8", newline="") as file:
                    self._writer(file).writerow(row)
        for other in self._others:
            other.row(step, values)

    def close(self) -> None:
        """Write out what is not yet written."""
        for other in self._others:
            other.close()

    def _take_up(self, start: int) -> None:
        if not self.path.is_file():
            return
        with self.path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            whole = [row for row in reader if None not in row.values() and row["step"].isdigit()]
            self._columns = list(reader.fieldnames or ())
        self._rows = [row for row in whole if int(row["step"]) < start]
        self._write_all()

    def _write_all(self) -> None:
        text = io.StringIO(newline="")
        writer = self._writer(text)
        writer.writeheader()
        writer.writerows(self._rows)
        with whole_file(self.path) as unfinished:
            unfinished.write_text(text.getvalue(), "utf-8")

    def _writer(self, file: Any) -> "csv.DictWriter[str]":
        return csv.DictWriter(file, self._columns, restval="", lineterminator="\n")


class _TensorBoard:
    def __init__(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=start)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _MLflow:
    def __init__(self, name: str) -> None:
        try:
            import mlflow  # type: ignore[import-not-found]
        except ImportError as error:
            raise TrainingError(
                "The logger 'mlflow' needs the package mlflow, which is not installed.\n"
                "Install it, or leave it out of `loggers`."
            ) from error
        self._mlflow = mlflow
        mlflow.start_run(run_name=name)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        self._mlflow.end_run()
