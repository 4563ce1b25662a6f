"""The code blocks of README and docs/*.md run as they stand, in a process without this suite's strict flags."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import X64

import jaxmlp

ROOT = Path(__file__).parent.parent
BOOK = [p for p in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in p.parts]
CHAPTERS = [p for p in BOOK if "```{code-cell}" in p.read_text()]
PAGES = [p for p in (ROOT / "README.md", *BOOK) if p not in CHAPTERS and p.parent.name != "api"]
WITHOUT_CODE = {"architecture", "benchmarks", "gallery", "index", "sources", "watch"}
CELLS = """
import re, sys
for options, cell in re.findall(r"(?ms)^```{code-cell}\\n((?::.*?\\n)*)(.*?)^```$", open(sys.argv[1]).read()):
    exec(cell, globals())
"""
RUN = f"""
import sys
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser
parser = PythonCodeBlockParser(doctest_optionflags={doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE})
count = 0
for example in Document.parse(sys.argv[1], parser).examples():
    example.evaluate()
    count += 1
print(count)
"""


def run(code, page, folder):
    """In a process of its own, as a newcomer has it."""
    environment = {**os.environ, "JAX_ENABLE_X64": "0", "MPLBACKEND": "Agg"}
    command = [sys.executable, "-c", code, page]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(X64, reason="they run in float32 in any case")
@pytest.mark.parametrize("page", [p for p in PAGES if p.stem not in WITHOUT_CODE], ids=lambda p: p.stem)
def test_code_blocks(page, tmp_path):
    count = int(run(RUN, page, tmp_path).splitlines()[-1])
    assert count == page.read_text().count(">>> ") > 0


@pytest.mark.slow  # building the book runs them, too
@pytest.mark.parametrize("page", CHAPTERS, ids=lambda p: p.stem)
def test_chapters(page, tmp_path):
    assert len(run(CELLS, page, tmp_path).splitlines()) > 2


def test_chapters_compute_what_they_show():
    assert not any(">>> " in p.read_text() for p in PAGES if p.stem in WITHOUT_CODE)
    assert {p.stem for p in CHAPTERS} >= {"networks", "forward", "losses", "worked_example", "computation_graphs"}
    for page in CHAPTERS:
        text = page.read_text()
        assert text.startswith("---\nfile_format: mystnb\n"), f"{page.name} would be printed, not run"
        assert text.count("```{code-cell}") == len(re.findall(r"(?ms)^```{code-cell}\n.*?^```$", text))


def test_every_public_name_stands_in_the_reference():
    """By the modules that its pages document; that they build is for Sphinx to say."""
    pages = "\n".join(page.read_text() for page in BOOK if page.parent.name == "api")
    modules = [importlib.import_module(name) for name in re.findall(r"automodule:: ([\w.]+)", pages)]
    for name in set(jaxmlp.__all__) - {module.__name__.split(".")[1] for module in modules} - {"readings"}:
        assert any(hasattr(module, name) for module in modules), name


def test_equations_are_numbered_where_the_code_says():
    """Every number that the code cites is an equation of the book, and a search for it finds the page."""
    book = "\n".join((ROOT / "docs" / f"{page}.md").read_text() for page in ("backprop", "curvature"))
    equations = {int(number) for number in re.findall(r"(?m)^\| \((\d+)\) \|", book)}
    assert equations == set(range(1, max(equations) + 1))
    entries = ", ".join(re.findall(r"```{index} (.*)", book)).split(", ")
    assert entries == [f"! eq. {number}" for number in sorted(equations)]  # main entries, which a search puts first
    cited = set()
    for path in (ROOT / "jaxmlp").rglob("*"):
        if path.suffix in (".py", ".html"):
            for words in re.findall(r"\(eqs?\. ([\d, to and]+)[);]|from eq\. (\d+)|what eq\. (\d+)", path.read_text()):
                first, *others = map(int, re.findall(r"\d+", " ".join(words)))
                cited |= set(range(first, others[-1] + 1)) if " to " in words[0] else {first, *others}
    assert cited == equations


def test_every_page_is_in_a_table_of_contents():
    for page in BOOK:
        index = page.parent / "index.md"
        if page == index:
            index, entry = ROOT / "docs" / "index.md", f"{page.parent.name}/index"
        else:
            entry = page.stem
        if entry != "docs/index":
            assert re.search(rf"(?m)^{entry}$", index.read_text()), f"{page} is in no table of contents"
