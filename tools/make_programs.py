"""Make the programs that every run of `workbench conform` replays first.

For each model that is wrong on purpose (tests/validation/wrong_models.py) it finds the shortest
program that tells it from QEMU's device, and stores it with the package.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.validation.wrong_models import WRONG  # noqa: E402 - found where this script says.
from workbench.validation.conform import run_job  # noqa: E402 - as above.
from workbench.validation.corpus import BUNDLED, store_program  # noqa: E402 - as above.
from workbench.validation.huge_pages import huge_pages  # noqa: E402 - as above.
from workbench.validation.kinds import KINDS  # noqa: E402 - as above.
from workbench.validation.plan import make_plan  # noqa: E402 - as above.

FOLDER = ROOT / "workbench" / "validation" / BUNDLED
PROGRAMS_MAX = 5000


def main() -> None:
    """Store one program for each wrong model, or for those named as arguments."""
    names = sys.argv[1:] or list(WRONG)
    with huge_pages(24):
        for name in names:
            make_wrong, kind_names = WRONG[name]
            with pytest.MonkeyPatch.context() as patch:
                make_wrong(patch)
                kinds = [KINDS[kind] for kind in kind_names]
                for job in make_plan("programs", PROGRAMS_MAX, kinds):
                    finding = run_job(job, "qemu-system-x86_64").finding
                    if finding is not None:
                        path = store_program(finding, FOLDER)
                        print(f"{name}: {len(finding.steps)} steps, {path.name}")
                        break


if __name__ == "__main__":
    main()
