"""How Sphinx builds the site: `make docs`. Nothing in it is fetched from another host."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from metaloop import __version__

project = "metaloop"
author = "the metaloop authors"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "pages", "docstrings"]
exclude_patterns = ["_ext"]
highlight_language = "text"
myst_heading_anchors = 4

autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 90
add_module_names = False

html_theme = "furo"
html_title = f"metaloop {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
