"""The site has every page once, and links between pages lead to pages."""

from pathlib import Path

import pytest

from tools.site.__main__ import NAVIGATION, PAGES, ROOT, linked, navigation, pages


def test_every_page_is_in_the_navigation_once() -> None:
    shown = [name for names in NAVIGATION.values() for name in names]
    assert len(shown) == len(set(shown))
    decisions = {page for page in pages().values() if page.startswith("decisions/0")}
    wanted = {page.removesuffix(".md") for page in set(pages().values()) - decisions} - {"index"}
    assert set(shown) - {"reference"} == wanted
    assert all(page.removesuffix(".md") in navigation() for page in decisions)


def test_links_between_files_become_links_between_pages() -> None:
    text = "[a](docs/api.md#queries) ![p](assets/queries.jpg) [w](https://x.org/a.md) "
    text += "[n](examples/quickstart.ipynb)"
    found = linked(text, Path("README.md"), Path("index.md"))
    assert found == "[a](api.md#queries) ![p](assets/queries.jpg) [w](https://x.org/a.md) n"
    assert linked("[s](../SECURITY.md)", Path("docs/api.md"), Path("api.md")) == "[s](security.md)"
    below = linked("[a](../architecture.md)", Path("docs/decisions/0001-x.md"), Path("decisions/0001-x.md"))
    assert below == "[a](../architecture.md)"


def test_a_link_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"docs/api\.md: the link to nope\.md leads nowhere"):
        linked("[x](nope.md)", Path("docs/api.md"), Path("api.md"))


def test_the_pages_of_the_root_exist() -> None:
    assert all((ROOT / name).is_file() for name in PAGES)
