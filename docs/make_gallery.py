"""Run the examples that draw, and keep their pictures, smaller, for the gallery.

    python docs/make_gallery.py

It takes some ten minutes, so it is not part of building the book. `from_torch` needs torch.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
EXAMPLES = (
    "digits moons gradient_flow label_noise noise_scale private_training sweep trainability_map from_torch".split()
)
WIDTH, COLORS = 900, 64


def main() -> None:
    """Run, shrink, write `docs/pictures/*.png`."""
    with tempfile.TemporaryDirectory() as folder:
        for name in EXAMPLES:
            example = DOCS.parent / "examples" / f"{name}.py"
            subprocess.run([sys.executable, example], check=True, cwd=folder, env={**os.environ, "MPLBACKEND": "Agg"})
            shrink(Path(folder) / f"{name}.png")


def shrink(picture: Path) -> None:
    """Write the picture at the gallery's width and number of colours."""
    image = Image.open(picture).convert("RGB")
    image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    image.quantize(COLORS, dither=Image.Dither.NONE).save(DOCS / "pictures" / picture.name, optimize=True)


if __name__ == "__main__":
    main()
