"""Boot throwaway guests, run a scenario in them, capture them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from workbench.cli import repeats
from workbench.cli.app import command_app
from workbench.cli.durations import parse_seconds
from workbench.cli.output import AllowLostOption, JsonOption, note, print_json, print_text
from workbench.cli.repeats import AccessOption

if TYPE_CHECKING:
    from workbench.lab import LabSettings, OpenCapture

app = command_app()

Switch = Literal["on", "off"]

Order = Annotated[
    int | None, typer.Option(metavar="K", help="Reporting order, set in the running guest.")
]
Poison = Annotated[
    str, typer.Option(metavar="none|init_on_free|VALUE", help="What the guest does and says.")
]
MemoryLimit = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Limit of a memory cgroup around them all.")
]
SwapSize = Annotated[
    str | None, typer.Option(metavar="SIZE", help="A compressed swap device for this run.")
]
SwapFile = Annotated[
    str | None, typer.Option(metavar="SIZE", help="A swap device on a file for this run.")
]
PageCluster = Annotated[
    int | None, typer.Option(metavar="N", help="Swap readahead: 2 to this power pages.")
]
MigrateAt = Annotated[
    str | None, typer.Option(metavar="STEP", help="Migrate (to nowhere) at a step or mark.")
]
KeepStream = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Keep what the migration of a guest sends.")
]
QemuLogs = Annotated[
    Path | None,
    typer.Option("--qemu-logs", metavar="DIR", help="Have QEMU write its own trace there too."),
]
AttachAfter = Annotated[
    str | None, typer.Option(metavar="STEP", help="Begin the capture at a step or mark.")
]
Capturing = Annotated[
    bool, typer.Option("--capture/--no-capture", help="Or write down only what the guests say.")
]
Settle = Annotated[str, typer.Option(metavar="TIME", help="Wait this long after the last step.")]


@app.callback()
def lab() -> None:
    """Boot throwaway guests, run a scenario in them, capture them."""


@app.command()
def scenarios(*, as_json: JsonOption = False) -> None:
    """List the bundled scenarios.

    Example: workbench lab scenarios
    """
    from workbench.lab import bundled_scenarios

    names = bundled_scenarios()
    if as_json:
        print_json({"scenarios": names})
    else:
        print_text("\n".join(names))


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A name, or a file.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The trace.")],
    reporting: Annotated[Switch, typer.Option(help="Free page reporting.")] = "on",
    order: Order = None,
    page_poison: Annotated[Switch, typer.Option(help="The device's property.")] = "on",
    poison: Poison = "none",
    hint: Annotated[bool, typer.Option("--hint", help="Offer free page hinting.")] = False,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory of a guest.")] = "512M",
    vcpus: Annotated[int, typer.Option(metavar="N", help="Processors of a guest.")] = 1,
    guests: Annotated[int, typer.Option(metavar="N", help="How many run at once.")] = 1,
    memory_limit: MemoryLimit = None,
    swap: SwapSize = None,
    swap_file: SwapFile = None,
    page_cluster: PageCluster = None,
    access: AccessOption = False,
    migrate_at: MigrateAt = None,
    keep_stream: KeepStream = None,
    qemu_logs: QemuLogs = None,
    attach_after: AttachAfter = None,
    accelerator: Annotated[Literal["tcg", "kvm", "auto"], typer.Option(help="How to run.")] = "tcg",
    settle: Settle = "10s",
    capturing: Capturing = True,
    allow_lost: AllowLostOption = False,
    as_json: JsonOption = False,
) -> None:
    """Boot guests, let them perform a scenario, and capture them from start to end.

    Example: workbench lab run churn --order 0 -o churn-order0.trace
    """
    from workbench.capture.recorder import Capture
    from workbench.cli import made_trace
    from workbench.lab import LabSettings, Transcript, load_scenario, parse_poison, parse_size

    settings = LabSettings(
        scenario=load_scenario(scenario),
        memory_bytes=parse_size(memory),
        vcpu_count=vcpus,
        guest_count=guests,
        reporting=reporting == "on",
        reporting_order=order,
        page_poison=page_poison == "on",
        poison=parse_poison(poison),
        free_page_hint=hint,
        migrate_at=migrate_at,
        attach_after=attach_after,
        accelerator=accelerator,
        memory_limit_bytes=None if memory_limit is None else parse_size(memory_limit),
        zram_bytes=None if swap is None else parse_size(swap),
        swap_file_bytes=None if swap_file is None else parse_size(swap_file),
        page_cluster=page_cluster,
        record_access=access,
        settle_s=parse_seconds(settle),
    )
    _check_files(output, settings, keep_stream)
    _run(settings, output, Capture if capturing else Transcript, _Kept(keep_stream, qemu_logs))
    if capturing:
        made_trace.hand_over(output, as_json=as_json)
        made_trace.refuse_losses(output, allow_lost=allow_lost)


def _check_files(output: Path, settings: LabSettings, stream: Path | None) -> None:
    """Refuse a trace that is there, and a stream that would never come, twice, or find no place."""
    from workbench.cli.made_trace import refuse_existing
    from workbench.errors import UsageError

    refuse_existing(output)
    if stream is None:
        return
    if settings.migrate_at is None or settings.guest_count > 1:
        raise UsageError("--keep-stream keeps one migration: give --migrate-at, and one guest")
    if stream.exists() or not stream.parent.is_dir():
        raise UsageError(f"{stream}: is there already, or its folder is not; choose another name")


class _Kept(NamedTuple):
    """What is kept of a run besides its trace."""

    stream: Path | None
    qemu_logs: Path | None


def _run(settings: LabSettings, output: Path, recorder: OpenCapture, kept: _Kept) -> None:
    from workbench.cli.made_trace import this_command
    from workbench.lab import run_lab

    if kept.qemu_logs is not None:
        kept.qemu_logs.mkdir(parents=True, exist_ok=True)
    run_lab(
        settings,
        output,
        capture=recorder,
        command=this_command(),
        stream=kept.stream,
        qemu_logs=kept.qemu_logs,
        progress=note,
    )


app.command()(repeats.repeat)
app.command()(repeats.overcommit)
