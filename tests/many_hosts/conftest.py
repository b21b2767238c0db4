# SPDX-License-Identifier: Apache-2.0
"""The state from which the machines of all these tests go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pool_guests import save_ready_guest
from processes import locked


@pytest.fixture(scope="session")
def ready_state(guest_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of a run."""
    # With pytest-xdist each process has a folder of its own in that of the run.
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if base.name.startswith("popen-") else base
    path = folder / "many hosts" / "ready.state"
    with locked(folder / "many hosts" / ".lock"):
        if not path.exists():
            save_ready_guest(guest_files, path)
    return path
