"""Read what another tool sampled or logged, check it, keep it, and say what it shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import import_monitoring, import_traces
from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, note, print_json, print_table, print_text, working
from workbench.cli.result_folder import check_output, fresh_result

if TYPE_CHECKING:
    from workbench.replay import SeriesPrediction

app = command_app()


@app.callback()
def imports() -> None:
    """Read what another tool sampled or logged."""


@app.command()
def series(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV, or an imported folder.")],
    *,
    order: Annotated[
        str | None, typer.Option(metavar="K", help="Reporting order; Linux has 9.")
    ] = None,
    delay: Annotated[
        str | None, typer.Option(metavar="TIME", help="Reporting delay; Linux has 2s.")
    ] = None,
    capacity: Annotated[
        str | None, typer.Option(metavar="N", help="Ranges in one report; Linux has 32.")
    ] = None,
    own_memory: Annotated[
        int | None, typer.Option(metavar="BYTES", help="QEMU's own memory, in its resident set.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Keep series, result and chart there."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Predict resident memory from sampled free memory.

    A CSV has the columns time (s), small (free pages of 4 KiB), huge (free units of 2 MiB), total
    (bytes) and, to compare with, rss (bytes, of the QEMU process); the options say how its guest
    reported.  With -o it is kept with that.  Of a kept one, the options ask what if.

    Example: workbench import series samples.csv --order 9 --delay 2s -o samples.result
    """
    from workbench.measure import series_document
    from workbench.replay import Guest, Sampling, predict_series, reporting_of
    from workbench.trace import read_guest_series

    samples = read_guest_series(path)
    guest = Guest.model_validate(
        {"reporting_order": order, "reporting_delay_ns": delay, "reporting_capacity": capacity}
    )
    if samples.reporting is None:
        samples = dataclasses.replace(samples, reporting=reporting_of(guest))
    sampling = Sampling() if own_memory is None else Sampling(own_bytes=own_memory)
    if output is not None:
        check_output(output)
    with working(f"predicting {samples.name}"):
        prediction = predict_series(samples, guest, sampling=sampling)
    document = series_document(prediction)
    if output is not None:
        _write(prediction, document, output)
    if as_json:
        print_json(document)
        return
    _print(prediction, document)
    if output is not None:
        print_text(f"\nseries, result and chart: {output}")


app.command("monitoring")(import_monitoring.monitoring)
app.command("qemu-log")(import_traces.qemu_log)
app.command("csv")(import_traces.from_csv)


def _print(prediction: SeriesPrediction, document: dict[str, Any]) -> None:
    from workbench.measure import metric_text
    from workbench.units import format_bytes

    print_text(f"{prediction.series.name}, {prediction.label}")
    for remark in (*prediction.series.remarks, *prediction.notes):
        note(remark)
    rows = [(name, metric_text(entry)) for name, entry in document["metrics"].items()]
    error = document["model_error"]
    if error["mean_absolute_bytes"] is not None:
        when = "" if prediction.is_as_sampled else ", as sampled"
        rows.append((f"mean absolute error{when}", format_bytes(error["mean_absolute_bytes"])))
        if error["byte_seconds"] is not None:
            rows.append((f"error of byte-seconds{when}", f"{100 * error['byte_seconds']:+.3f} %"))
    print_table(("metric", "value"), rows, right=("value",))
    if document["drains"]:
        print_text("")
        print_table(
            ("large free at", "freed", "90 % gone after", "measured"),
            [
                (
                    f"{drain['time_s']:,.1f} s",
                    format_bytes(drain["freed_bytes"]),
                    _seconds(drain["predicted_s"]),
                    _seconds(drain["measured_s"]),
                )
                for drain in document["drains"]
            ],
            right=("large free at", "freed", "90 % gone after", "measured"),
        )


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _write(prediction: SeriesPrediction, document: dict[str, Any], folder: Path) -> None:
    from workbench import plot
    from workbench.measure import series_frame
    from workbench.trace import write_guest_series

    with fresh_result(document, folder) as fresh:
        write_guest_series(prediction.series, fresh)
        plot.save(plot.guest_series(series_frame(prediction)), fresh / "resident_memory.png")
