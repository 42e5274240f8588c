"""The notebook runs from top to bottom, and the interface's own examples do what they say."""

import doctest
from pathlib import Path

import pytest

import hifa_cli.api.gallery
import hifa_cli.api.stages

PATIENCE = 600  # seconds: what hangs must end, and a busy machine is not a fault
NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "quickstart.ipynb"


@pytest.mark.parametrize("module", [hifa_cli.api.gallery, hifa_cli.api.stages])
def test_docstring_examples_do_what_they_say(module: object) -> None:
    found = doctest.testmod(module, raise_on_error=False)  # type: ignore[arg-type]
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own packages
def test_the_quickstart_notebook_runs_and_shows_contact_sheets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the notebook's world goes where pytest cleans up
    nbclient.NotebookClient(
        notebook,
        timeout=PATIENCE,
        startup_timeout=PATIENCE,
        iopub_timeout=PATIENCE,  # after 4 s a cell's outputs would be dropped without an error
        shutdown_kernel="immediate",
        kernel_name="python3",
        resources={"metadata": {"path": tmp_path}},
    ).execute()
    assert list(tmp_path.glob("*/world/shapes"))
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
