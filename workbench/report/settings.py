"""The settings: what each column was replayed with, and how the trace was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.replay.summary import in_words
from workbench.report.document import Block, Column, Facts, Listing, Section, Table
from workbench.report.text import name_text

if TYPE_CHECKING:
    from workbench.replay import Settings
    from workbench.report.findings import Findings, Found

_ANSWERED: dict[str, str] = {
    "replay": "a replay of this trace",
    "measured pair": "the second trace, measured",
    "refused": "nothing: this trace cannot tell",
}


def setting_section(findings: Findings) -> Section:
    """Say what was changed in each question, and what the capture ran with."""
    manifest = findings.trace.manifest
    columns = ("question", "changed", "answered by")
    blocks: list[Block] = [
        Table(
            caption="Questions, as the settings they change",
            columns=tuple(Column(name=name) for name in columns),
            rows=tuple(_question(found) for found in findings.all),
            note="Whatever is not changed stays as it was captured.",
        )
    ]
    if manifest.lab_settings:
        pairs = tuple(
            (name_text(name), name_text(value)) for name, value in manifest.lab_settings.items()
        )
        blocks.append(Facts(pairs=pairs))
    blocks.append(Listing(caption="The command that made the trace", text=manifest.command))
    if manifest.scenario_text:
        blocks.append(Listing(caption="The scenario", text=manifest.scenario_text.rstrip("\n")))
    return Section(key="settings", heading="Settings", blocks=tuple(blocks))


def _question(found: Found) -> tuple[str, ...]:
    answer = found.answer
    return found.label, changed_text(answer.settings), _ANSWERED[answer.answered_by]


def changed_text(settings: Settings) -> str:
    """Write what settings change: ``guest.poison_val = 0xaaaaaaaa``."""
    changed = [f"{name} = {in_words(name, value)}" for name, value in settings.changed.items()]
    return ", ".join(changed) or "nothing"


def settings_text(settings: Settings) -> str:
    """Write settings as their label has them, but numbers in units: ``memory_bytes 64.00 MiB``."""
    changed = settings.changed.items()
    words = [f"{name.partition('.')[2]} {in_words(name, value)}" for name, value in changed]
    return ", ".join(words) or settings.label
