"""docs/cli.md is what the program says of itself."""

from tools.cli_reference import PAGE, reference


def test_the_command_line_reference_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: python -m tools.cli_reference --write"


def test_the_reference_does_not_depend_on_the_terminal() -> None:
    assert "hifa data check" in reference()
    assert "\x1b" not in reference()
