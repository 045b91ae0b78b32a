"""The page around the results: HTML, its style, and the few lines of script that sort a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Cell", "details", "image", "listing", "page", "section", "table"]

_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #5a6472; --line: #d9dee5; --band: #f5f7fa; --mark: #0b62a8; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, ul { margin: .25rem 0 .75rem; max-width: 60rem; }
.note { color: var(--soft); font-size: .9rem; }
nav a { margin-right: 1rem; color: var(--mark); }
.scroll { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.n, th.n { text-align: right; }
thead th { white-space: normal; vertical-align: bottom; background: var(--band); border-bottom: 2px solid var(--line); }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
th button::after { content: "\\00a0\\2195"; color: #b4bcc7; }
th[aria-sort=ascending] button::after { content: "\\00a0\\2191"; color: var(--mark); }
th[aria-sort=descending] button::after { content: "\\00a0\\2193"; color: var(--mark); }
tbody tr:hover { background: var(--band); }
details summary { cursor: pointer; font-weight: 600; margin: 1rem 0 .25rem; }
img { max-width: 100%; height: auto; display: block; margin: .5rem 0 1rem; }
"""

_SCRIPT = """
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const column = [...head.parentElement.children].indexOf(head);
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const x = key(a), y = key(b), missing = (x === "") - (y === "");
      if (missing) return missing;
      const numeric = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
      return sign * (numeric ? x - y : x.localeCompare(y));
    };
    body.append(...[...body.rows].sort(compare));
  });
}
"""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, and the number by which it sorts where it is one ("" for a missing one: always last)."""

    text: str
    key: float | str | None = None

    def html(self) -> str:
        """The cell as HTML."""
        if self.key is None:
            return f"<td>{escape(self.text)}</td>"
        return f'<td class="n" data-key="{escape(str(self.key))}">{escape(self.text)}</td>'


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table whose heads sort it; a column is set right where its first cell is a number."""
    numbers = [cell.key is not None for cell in rows[0]] if rows else [False] * len(heads)
    marks = [' class="n"' if number else "" for number in numbers]
    top = "".join(
        f'<th scope="col"{mark}><button type="button">{escape(head)}</button></th>'
        for head, mark in zip(heads, marks, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(cell.html() for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def listing(items: Sequence[str]) -> str:
    """A bulleted list of plain texts; nothing for none."""
    return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>" if items else ""


def details(summary: str, content: str) -> str:
    """A part that opens on demand."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"


def image(data_uri: str, description: str) -> str:
    """A picture that is part of the page."""
    return f'<img src="{data_uri}" alt="{escape(description)}">'


def section(anchor: str, title: str, *parts: str) -> tuple[str, str, str]:
    """Anchor, title and content of a part of the page."""
    return anchor, title, "\n".join(part for part in parts if part)


def page(title: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole document."""
    links = "".join(f'<a href="#{anchor}">{escape(name)}</a>' for anchor, name, _ in sections)
    body = "\n".join(f'<h2 id="{anchor}">{escape(name)}</h2>\n{content}' for anchor, name, content in sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<nav>{links}</nav>
{body}
<script>{_SCRIPT}</script>
</body>
</html>
"""
