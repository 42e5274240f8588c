"""The notebook runs from top to bottom, and the interface's own examples do what they say."""

import doctest
from pathlib import Path

import pytest

import hifa_cli.api.gallery
import hifa_cli.api.stages

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"


@pytest.mark.parametrize("module", [hifa_cli.api.gallery, hifa_cli.api.stages])
def test_docstring_examples_do_what_they_say(module: object) -> None:
    found = doctest.testmod(module, raise_on_error=False)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own packages
def test_the_quickstart_notebook_runs_and_shows_contact_sheets(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [
        data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if (data := output.get("data", {}).get("text/html"))
    ]
    assert len(shown) == 2
    assert all(data.startswith("<img src=") for data in shown)


def test_the_notebook_is_kept_without_outputs() -> None:
    nbformat = pytest.importorskip("nbformat")
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")
