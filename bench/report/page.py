"""`bench report`: the results of runs and measurements, joined into one self-contained HTML page."""

from collections.abc import Sequence

from bench.report.html import page
from bench.report.results import Result, overviews
from bench.report.sections import sections

__all__ = ["render_report"]


def render_report(results: Sequence[Result], title: str = "Compressed networks, measured") -> str:
    """One HTML page with everything in it: tables that sort, plots, no network; equal results give equal bytes.

    Parameters
    ----------
    results : sequence of Result
    title : str

    Returns
    -------
    str
        The page; its content policy forbids it to fetch anything.
    """
    return page(title, sections(results, overviews(results)))
