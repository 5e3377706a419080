"""Render templates: Markdown and scripts for vendors, HTML pages for everybody."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined


def text_environment(package: str) -> Environment:
    """Return what renders the Markdown, YAML and scripts in ``package``'s folder ``template``.

    An unknown name in a template is an error.
    """
    return _environment(package, html=False)


def page_environment(package: str) -> Environment:
    """Return what renders the HTML pages in ``package``'s folder ``template``, values escaped."""
    return _environment(package, html=True)


def _environment(package: str, *, html: bool) -> Environment:
    return Environment(
        loader=PackageLoader(package, "template"),
        undefined=StrictUndefined,
        autoescape=html,  # noqa: S701  # Markdown and scripts are no HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=not html,
    )


def data_uri(content: bytes, media_type: str) -> str:
    """Return a file as a URI that holds it, such as ``data:image/webp;base64,...``."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
