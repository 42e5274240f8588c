"""Stage README, the pages of ``docs/`` and the reference in ``build/site-src``, and build ``build/site``.

    python -m tools.site

Links between files of the repository become links between pages; those to files that are not pages (code, the
notebook) become plain words. Every warning of Sphinx is an error: a broken link, a page outside of the
navigation, a docstring that cannot be set.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE, SITE = ROOT / "build" / "site-src", ROOT / "build" / "site"
HOME = "index.md"
PAGES = {
    "README.md": HOME,
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
NAVIGATION = {
    "Use it": (
        "gallery",
        "scale",
        "containers",
        "sharing",
        "gpu",
        "training",
        "compare",
        "data",
        "datasets",
        "formats",
        "rendering",
        "encoders",
        "scripting",
    ),
    "From Python": ("api", "reference", "extending"),
    "Look it up": ("cli", "methods", "metrics", "file-formats", "glossary"),
    "How good it is": ("results", "reliability", "log"),
    "The project": ("architecture", "decisions/README", "contributing", "releasing", "security", "changelog"),
}
_LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def main() -> int:
    """Stage and build; return Sphinx's exit code."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    stage(SOURCE)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-j", "auto"]
    return subprocess.run([*command, str(SOURCE), str(SITE)], check=False, cwd=ROOT).returncode


def stage(place: Path) -> None:
    """Write the pages of the site below ``place``, with its links."""
    place.mkdir(parents=True)
    for file, page in pages().items():
        text = linked((ROOT / file).read_text(encoding="utf-8"), Path(file), Path(page))
        (place / page).parent.mkdir(parents=True, exist_ok=True)
        (place / page).write_text(text + (navigation() if page == HOME else ""), encoding="utf-8")
    shutil.copytree(ROOT / "assets", place / "assets")
    for name in ("conf.py", "reference.md"):
        shutil.copyfile(Path(__file__).parent / name, place / name)


def pages() -> dict[str, str]:
    """Return the files of the repository that are pages, and the pages' places."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    return PAGES | {name: name.removeprefix("docs/") for name in sorted(found)}


def navigation() -> str:
    """Return the list of all pages, which Sphinx shows beside each; decisions stand below theirs."""
    parts = [
        f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(names) + "\n```\n"
        for title, names in NAVIGATION.items()
    ]
    decisions = sorted(path.stem for path in (ROOT / "docs" / "decisions").glob("0*.md"))
    below = "\n".join(f"decisions/{name}" for name in decisions)
    return "".join(parts) + f"\n```{{toctree}}\n:hidden:\n:caption: Decisions\n:maxdepth: 1\n\n{below}\n```\n"


def linked(text: str, file: Path, page: Path) -> str:
    """Return a page's text with links to pages in place of links to files.

    Args:
        text: of the file.
        file: relative to the repository.
        page: relative to the site's source.
    """
    known = pages()

    def link(found: re.Match[str]) -> str:
        target, anchor = found["target"], found["anchor"] or ""
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        name = os.path.normpath(file.parent / target)
        if found["picture"]:
            return f"![{found['words']}]({os.path.relpath(name, page.parent)})"
        if name in known:
            return f"[{found['words']}]({os.path.relpath(known[name], page.parent)}{anchor})"
        if not (ROOT / name).exists():
            raise SystemExit(f"{file}: the link to {target} leads nowhere")
        return found["words"]

    return _LINK.sub(link, text)


if __name__ == "__main__":
    sys.exit(main())
