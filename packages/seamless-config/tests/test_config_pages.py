"""The pages of the language and of clusters say what the parser reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.config_tables import TABLES, command_rows, field_rows

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"
ROWS = {
    "commands": ("command-language.md", command_rows()),
    **{name: ("clusters.md", field_rows(name)) for name in TABLES},
}


@pytest.mark.invariant("I-258")
@pytest.mark.parametrize("table", ROWS)
def test_every_command_and_field_is_in_its_page(table):
    page, rows = ROWS[table]
    assert "\n".join(rows) in (REFERENCE / page).read_text("utf-8"), (
        "python -m tools.config_tables prints the rows"
    )
