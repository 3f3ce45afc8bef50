"""Say what this host can and cannot do, and the fix for each."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from workbench.cli.app import command_app
from workbench.cli.output import JsonOption, print_json, print_table, print_text
from workbench.errors import HostError

if TYPE_CHECKING:
    from workbench.capture.check import Check

app = command_app()


class Purpose(enum.StrEnum):
    """What a host can be asked to be good for."""

    CAPTURE = "capture"
    LAB = "lab"


@app.command()
def doctor(
    *,
    require: Annotated[
        Purpose | None, typer.Option(help="Exit with 4 if this host cannot do that.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also boot a kernel under KVM: it may be downloaded.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what this host can and cannot do, and the fix for each.

    Example: workbench doctor --require capture
    """
    from workbench.capture.check import first_missing
    from workbench.capture.check_host import check_host

    checks = check_host()
    if deep:
        from workbench.lab.acceleration import check_kvm_boots

        checks = [check_kvm_boots() if check.name == "KVM" else check for check in checks]
    verdicts = {purpose.value: first_missing(checks, purpose.value) is None for purpose in Purpose}
    if as_json:
        print_json({"able": verdicts, "checks": [_row(check) for check in checks]})
    else:
        _print_checks(checks)
        able = [name for name, verdict in verdicts.items() if verdict]
        print_text(f"\nThis host can: {', '.join(['replay', *able])}.")
    blocking = first_missing(checks, require.value) if require else None
    if blocking is not None:
        raise HostError(
            f"{require} cannot work here: {blocking.name}: {blocking.found}; fix: {blocking.fix}"
        )


def _row(check: Check) -> dict[str, object]:
    fix = None if check.status == "ok" else check.fix
    return {
        "name": check.name,
        "status": check.status,
        "found": check.found,
        "needed_for": check.needed_for,
        "fix": fix,
    }


def _print_checks(checks: list[Check]) -> None:
    rows = [
        (check.status.value, check.name, check.found, ", ".join(check.needed_for))
        for check in checks
    ]
    print_table(("", "what", "found", "needed for"), rows)
    fixes = [check for check in checks if check.status != "ok" and check.fix]
    if fixes:
        print_text("\nFixes:")
    for check in fixes:
        print_text(f"  {check.name}: {check.fix}")
