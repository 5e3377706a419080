"""Say where lines of a page may break: names and options nowhere, wide graphs scroll."""

import re

MOST_LETTERS = 40  # of a word that is kept whole: a longer one would not fit a phone

_CODE = re.compile(r"<code>([^<\n]+)</code>")  # of a line; a block has its newlines
_GRAPH = re.compile(r'<pre class="mermaid">.*?</pre>', re.DOTALL)
_ROW_CODE = re.compile(r"`[^`\n]+`")


def kept_whole(html: str) -> str:
    """Mark the words of code within lines, and put graphs where they can be scrolled."""
    return _GRAPH.sub(r'<div class="graph">\g<0></div>', _CODE.sub(_words, html))


def without_escapes(markdown: str) -> str:
    """Take the backslashes from before pipes in code of tables: GitHub alone needs them."""
    lines = markdown.split("\n")
    return "\n".join(
        _ROW_CODE.sub(lambda code: code[0].replace(r"\|", "|"), line)
        if line.startswith("|")
        else line
        for line in lines
    )


def _words(code: re.Match[str]) -> str:
    marked = (
        f'<span class="word">{word}</span>' if len(word) <= MOST_LETTERS else word
        for word in code[1].split(" ")
    )
    return f"<code>{' '.join(marked)}</code>"
