"""How right the model is: the replay as captured beside what the host measured, and its lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import plot
from workbench.measure import predicted_against_measured
from workbench.report.document import Block, Column, Facts, Paragraph, Section, Table
from workbench.report.headline import percent, sureness
from workbench.report.images import figure_of, plain
from workbench.report.machines import ROWS_MAX
from workbench.report.text import name_text, sentence_list
from workbench.units import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from workbench.replay import Replay
    from workbench.report.document import Figure
    from workbench.report.findings import Findings
    from workbench.trace import Probe


def error_section(
    error: Mapping[str, Any], events: Mapping[str, Any], figures: Iterable[Figure]
) -> Section:
    """Say how far the replay as captured is from what the host measured and decided.

    Parameters
    ----------
    error, events
        `model_error` and `events` of a replay, of whatever settings.
    figures
        Charts of it.
    """
    said = sureness(error)
    blocks: list[Block] = [
        Paragraph(
            text=f"{said[0].upper()}{said[1:]}. A replay never reads what the host measured; it is "
            "compared with it afterwards."
        )
    ]
    blocks += [Paragraph(text=text) for text in _decisions(events.get("as_captured") or {})]
    if error.get("resident_bytes") is not None:
        blocks.append(_machines(error))
    blocks += _host(error)
    return Section(key="error", heading="How right is it?", blocks=(*blocks, *figures))


def error_figures(run: Replay) -> Iterator[Figure]:
    """Draw what the replay as captured says against what the host measured."""
    samples, error = run.model_error["samples"], run.model_error["resident_bytes"]
    if not samples or error is None:
        return
    frame = plain(predicted_against_measured(run))
    yield figure_of(
        "predicted-against-measured",
        caption="Every sample: what the replay as captured says, against what the host measured. "
        "On the diagonal they are equal.",
        alt=f"{samples:,} samples of resident memory, predicted against measured, "
        f"{run.model_error['quiet_samples']:,} of them while nothing moved: on average "
        f"{percent(error['mean'])} of the measured peak apart.",
        draw=lambda: plot.predicted_against_measured(frame),
    )


def _decisions(as_captured: Mapping[str, Any]) -> list[str]:
    """Say where the model of the device, or of the host's memory, differs from the capture."""
    if not as_captured:
        return []
    differing = as_captured["differing_decisions"]
    surprises = {
        name.replace("_", " "): count for name, count in as_captured["surprises"].items() if count
    }
    said = [
        "On every reported range the model decides as QEMU did."
        if not differing
        else f"On {differing:,} ranges the model decides otherwise than QEMU did."
    ]
    if surprises:
        words = sentence_list(f"{name} ({count:,})" for name, count in surprises.items())
        said.append(f"Events that the model of the host's memory did not expect: {words}.")
    return said


def _machines(error: Mapping[str, Any]) -> Block:
    names = ("mean", "at the end", "largest, of RAM", "quiet samples")
    machines = error["virtual_machines"]
    hidden = len(machines) - ROWS_MAX
    return Table(
        caption="Resident memory, replay as captured minus measurement",
        columns=(Column(name="guest"), *(Column(name=name, is_number=True) for name in names)),
        rows=tuple(map(_machine, machines[:ROWS_MAX])),
        note="Mean: distance over time, of the measured peak. At the end, and largest: of samples "
        "during which nothing moved." + (f" And {hidden:,} more guests." if hidden > 0 else ""),
    )


def _machine(machine: Mapping[str, Any]) -> tuple[str, ...]:
    error = machine["resident_bytes"]
    samples = f"{machine['quiet_samples']:,} of {machine['samples']:,}"
    if error is None:
        return name_text(machine["name"]), "-", "-", "-", samples
    final, largest = error["final_pages"], error["quiet_max"]
    return (
        name_text(machine["name"]),
        percent(error["mean"]),
        "-" if final is None else f"{final:+,} pages" if final else "0",
        "-" if largest is None else percent(largest),
        samples,
    )


def _host(error: Mapping[str, Any]) -> list[Block]:
    """Compare what the model of the host swaps with what the captured host did."""
    host = error.get("host")
    if not host:
        return []
    return [
        Table(
            caption="Swap of the capture, by the host and by the model of the host",
            columns=(
                Column(name="pages"),
                Column(name="captured", is_number=True),
                Column(name="model", is_number=True),
            ),
            rows=tuple(
                (
                    name.removesuffix("_pages").replace("_", " "),
                    f"{counts['captured']:,}",
                    f"{counts['model']:,}",
                )
                for name, counts in host.items()
            ),
            note="What-ifs that change swap are answered by the model of the host.",
        )
    ]


def lineage_section(lineage: Mapping[str, Any], probes: Table | None = None) -> Section:
    """Say what every figure was made of: equal lineage, equal figures."""
    versions = lineage["versions"]
    pairs = (
        ("trace digest", str(lineage.get("trace") or lineage.get("trace_files"))),
        ("model digest", str(lineage["model"])),
        *((f"{name} version", str(version)) for name, version in versions.items()),
    )
    blocks: tuple[Block, ...] = () if probes is None else (probes,)
    return Section(
        key="lineage", heading="Where the figures come from", blocks=(Facts(pairs=pairs), *blocks)
    )


def probe_table(findings: Findings) -> Table:
    """List the probes: what each saw, could not place, and lost."""
    numbers = ("events", "not about a guest", "run time", "lost")
    return Table(
        caption="Probes of the capture",
        columns=(
            Column(name="probe"),
            Column(name="attached"),
            *(Column(name=name, is_number=True) for name in numbers),
        ),
        rows=tuple(_probe(probe) for probe in findings.trace.manifest.probes[:ROWS_MAX]),
    )


def _probe(probe: Probe) -> tuple[str, ...]:
    run_time = "-" if probe.run_time_ns is None else f"{probe.run_time_ns / NANOSECONDS:.2f} s"
    return (
        name_text(probe.name),
        ("yes" if probe.attached else "no") + f": {name_text(probe.reason)}" * bool(probe.reason),
        f"{probe.events:,}",
        f"{probe.unattributed:,}",
        run_time,
        f"{sum(probe.lost.values()):,}",
    )
