"""The code blocks of README and docs/*.md run as they stand, in a process without this suite's strict flags."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxmlp

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CELLS = """
import re, sys
for cell in re.findall(r"(?ms)^```{code-cell}\\n(.*?)^```$", open(sys.argv[1]).read()):
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


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_code_blocks(page, tmp_path):
    environment = {**os.environ, "JAX_ENABLE_X64": "0", "MPLBACKEND": "Agg"}  # as a newcomer has it
    notebook = "```{code-cell}" in page.read_text()
    command = [sys.executable, "-c", CELLS if notebook else RUN, page]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if notebook:
        assert done.stdout
        return
    assert int(done.stdout.splitlines()[-1]) == page.read_text().count(">>> ")
    assert page.stem in ("architecture", "benchmarks", "index") or ">>> " in page.read_text()  # the meter works


def test_every_public_name_stands_in_the_reference():
    """By the modules that its pages document; that they build is for Sphinx to say."""
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    modules = [importlib.import_module(name) for name in re.findall(r"automodule:: ([\w.]+)", pages)]
    for name in set(jaxmlp.__all__) - {module.__name__.split(".")[1] for module in modules} - {"readings"}:
        assert any(hasattr(module, name) for module in modules), name
    toc = (ROOT / "docs" / "index.md").read_text() + (ROOT / "docs" / "api" / "index.md").read_text()
    for page in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "api").glob("*.md")]:
        assert page.stem == "index" or re.search(rf"(?m)^{page.stem}$", toc), f"{page.name} is in no table of contents"
