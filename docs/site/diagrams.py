"""A Sphinx extension that draws Mermaid diagrams while the site is built.

The pages contain the pictures as SVG, so they need no script and no other host. A diagram with an
error is a warning, which fails the build.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import mermaidx
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

KEPT = Path(__file__).resolve().parents[2] / "build" / "docs" / "diagrams"
WIDTH = re.compile(r"max-width: ([\d.]+)px;")


def draw(source: str) -> str:
    """Return a diagram as SVG. Drawing takes a second, so each diagram is kept."""
    name = "d" + hashlib.sha256(Path(__file__).read_bytes() + source.encode()).hexdigest()[:16]
    kept = KEPT / f"{name}.svg"
    if not kept.exists():
        picture = mermaidx.render(source, theme="neutral").svg()
        KEPT.mkdir(parents=True, exist_ok=True)
        # The styles of a picture apply to its id, which must be unique on a page.
        picture = picture.replace("my-svg", name)
        # In a narrow window, the picture scrolls before its text becomes too small.
        least = r"max-width: \1px; min-width: calc(\1px / 2);"
        kept.write_text(WIDTH.sub(least, picture, count=1))
    return kept.read_text()


class Diagram(SphinxDirective):
    """A fenced block `mermaid`."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the drawn diagram, or a warning that names its place."""
        try:
            picture = draw("\n".join(self.content))
        except RuntimeError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        return [nodes.raw("", f'<div class="diagram">{picture}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the block."""
    app.add_directive("mermaid", Diagram)
    return {"parallel_read_safe": True}
