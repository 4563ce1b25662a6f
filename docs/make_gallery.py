"""Run the examples that draw, and keep their pictures, smaller, for the gallery.

    python docs/make_gallery.py

It takes some ten minutes, so it is not part of building the book. `from_torch` needs torch, and the explorer's picture
is taken by playwright in Debian's Chromium.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent
EXAMPLES = (
    "digits moons gradient_flow label_noise noise_scale private_training sweep trainability_map from_torch".split()
)
WIDTH, COLORS = 900, 256


def main() -> None:
    """Run, shrink, write `docs/pictures/*.png`."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (*EXAMPLES, "explorer"):
            example = DOCS.parent / "examples" / f"{name}.py"
            subprocess.run([sys.executable, example], check=True, cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"})
            picture = Path(folder) / f"{name}.png"
            if name == "explorer":
                photograph(Path(folder) / "explorer_moons.html", picture)
            shrink(picture)


def photograph(page: Path, picture: Path) -> None:
    """Take a picture of the explorer's page, in the midst of training and of the way back."""
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
        window.goto(page.as_uri())
        window.locator("#snapshot").fill("7")
        window.locator("#pick [data-example='14']").dispatch_event("click")
        for _ in range(7):
            window.click("#next")
        window.screenshot(path=picture, full_page=True)
        browser.close()


def shrink(picture: Path) -> None:
    """Write the picture at the gallery's width and number of colours."""
    image = Image.open(picture).convert("RGB")
    image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    image = image.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    image.save(DOCS / "pictures" / picture.name, optimize=True)


if __name__ == "__main__":
    main()
