"""How Sphinx makes a site of these pages: `make docs`.

The pages are Markdown as forges show it. What a forge does and Sphinx does not stands here: links to files outside of
this folder, and a list of pages that is the site's navigation too.
"""

import os
import sys
from pathlib import Path
from typing import Final

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "hack" / "docs"))

from pages import INDEX, navigation  # noqa: E402 - the line above finds it

project = "ESA preload operator"
copyright = "the authors of the ESA preload operator"  # noqa: A001 - Sphinx reads this name
extensions = ["myst_parser"]
nitpicky = True
highlight_language = "text"
myst_heading_anchors = 4
myst_links_external_new_tab = False
html_theme = "furo"
html_title = project
html_show_sphinx = False
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]

SOURCE: Final = os.environ.get("SOURCE", "").rstrip("/")
"""Address of the source repository: links to files outside of this folder lead there."""
REVISION: Final = os.environ.get("TAG") or "HEAD"

_logger: Final = logging.getLogger(__name__)


def _add_navigation(app: Sphinx, name: str, source: list[str]) -> None:
    if name == INDEX:
        source[0] += navigation(Path(app.srcdir))


def _lead_outside(app: Sphinx, tree: nodes.document) -> None:
    """Let links to files of the repository lead to its address; without one a file is copied, a folder is text."""
    docs, page = Path(app.srcdir).resolve(), app.env.docname
    for node in [*tree.findall(addnodes.pending_xref), *tree.findall(addnodes.download_reference)]:
        link, _, anchor = node["reftarget"].partition("#")
        link += ".md" if node.get("refdomain") == "doc" else ""
        target = Path(os.path.normpath((docs / page).parent / link))
        if not link or target.is_relative_to(docs):
            continue
        if target.exists() and target.is_relative_to(ROOT):
            node.replace_self(_outside(node, target, node.get("reftargetid") or anchor, (docs / page).parent))
        else:
            _logger.warning("a link to %s, which does not exist", target, location=node)


def _outside(node: nodes.Element, target: Path, anchor: str, folder: Path) -> nodes.Node:
    if SOURCE:
        kind = "tree" if target.is_dir() else "blob"
        address = f"{SOURCE}/{kind}/{REVISION}/{target.relative_to(ROOT).as_posix()}{'#' + anchor if anchor else ''}"
        return nodes.reference("", "", *node.children, refuri=address, internal=False)
    if target.is_dir():
        return nodes.inline("", "", *node.children)
    return addnodes.download_reference("", "", *node.children, reftarget=os.path.relpath(target, folder))


def setup(app: Sphinx) -> None:
    """Connect the two to Sphinx; files are collected at 500, and must be known before."""
    app.connect("source-read", _add_navigation)
    app.connect("doctree-read", _lead_outside, priority=400)
