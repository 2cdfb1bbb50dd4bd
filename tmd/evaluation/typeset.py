"""A comparison as Markdown and as LaTeX: the best bold, the second underlined, arrows, units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from tmd.errors import printable
from tmd.evaluation.comparison import Column, Comparison
from tmd.evaluation.statistics import Difference, Estimate
from tmd.metrics.registry import Metric

#: Rows from which the second best is shown.
UNDERLINE_FROM = 3
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    **{each: f"\\{each}" for each in "&%$#_"},
}
_MARKDOWN = {each: f"\\{each}" for each in "\\`*_[]<>|#"}


def escape_latex(text: str) -> str:
    r"""``text`` as LaTeX shows it, whatever it holds.

    Example:
        >>> print(escape_latex("run_3, 50 %"))
        run\_3, 50 \%
    """
    return "".join(_LATEX.get(each, each) for each in printable(text))


def escape_markdown(text: str) -> str:
    """``text`` as a cell of Markdown shows it, whatever it holds."""
    return "".join(_MARKDOWN.get(each, each) for each in printable(text))


def to_markdown(comparison: Comparison, median: bool = False) -> str:
    """Tables of means and, with a baseline, of differences, and what they say.

    Args:
        median: give the median over the images after the mean.
    """
    parts = [
        _markdown_table(comparison, lambda name, column: _cell(comparison, name, column, median)),
        *comparison.notes(),
    ]
    if median:
        parts.append("After a slash: the median over the images.")
    if comparison.baseline is not None:
        others = [each.name for each in comparison.systems if each.name != comparison.baseline]
        parts += [
            _markdown_table(
                comparison, lambda name, column: _difference(comparison, name, column), others, "Δ "
            ),
            *comparison.difference_notes(),
        ]
    return "\n\n".join(parts) + "\n"


def to_latex(comparison: Comparison, median: bool = False) -> str:
    """As `to_markdown`, for LaTeX with ``booktabs``: one ``tabular`` each, notes as comments."""
    parts = [
        r"% \usepackage{booktabs}",
        _latex_table(
            comparison, lambda name, column: _cell(comparison, name, column, median, True)
        ),
        _comments(comparison.notes()),
    ]
    if comparison.baseline is not None:
        others = [each.name for each in comparison.systems if each.name != comparison.baseline]
        parts += [
            _latex_table(
                comparison,
                lambda name, column: _difference(comparison, name, column, True),
                others,
                r"$\Delta$ ",
            ),
            _comments(comparison.difference_notes()),
        ]
    return "\n".join(parts) + "\n"


def _comments(lines: Sequence[str]) -> str:
    return "\n".join(f"% {printable(line)}" for line in lines)


def _arrow(said: Metric) -> str:
    return {True: " ↑", False: " ↓", None: ""}[said.higher_is_better]


def _head(said: Metric) -> str:
    """Label, unit and direction of a metric's column."""
    return said.label + (f" ({said.unit})" if said.unit else "") + _arrow(said)


def _cell(
    comparison: Comparison, name: str, column: Column, median: bool, latex: bool = False
) -> str:
    """Mean with its mark, median, deviation and interval."""
    said, found = comparison.described(column), comparison.estimates[name, column]
    rank = comparison.ranks(column).get(name)
    mean = _number(said.text(found.mean), latex)
    if rank == 0 and len(comparison.systems) > 1:
        mean = rf"\textbf{{{mean}}}" if latex else f"**{mean}**"
    elif rank == 1 and len(comparison.systems) >= UNDERLINE_FROM:
        mean = rf"\underline{{{mean}}}" if latex else f"<ins>{mean}</ins>"
    if median:
        mean += f" / {_number(said.text(found.median), latex)}"
    if found.deviation is not None:
        sign = r"$\pm$" if latex else "±"
        mean += f" {sign} {said.text(found.deviation)}"
    return mean + _interval(said, found, latex)


def _interval(said: Metric, found: Estimate | Difference, latex: bool, signed: bool = False) -> str:
    if found.low is None or found.high is None:
        return ""
    low, high = (
        _number(_signed(said, end) if signed else said.text(end), latex)
        for end in (found.low, found.high)
    )
    return rf" {{\scriptsize [{low}, {high}]}}" if latex else f" [{low}, {high}]"


def _difference(comparison: Comparison, name: str, column: Column, latex: bool = False) -> str:
    said, found = comparison.described(column), comparison.differences[name, column]
    mean = _number(_signed(said, found.mean), latex)
    p = "no image differs" if found.p is None else _p_text(found.p)
    p = p.replace("p <", "$p <$").replace("p =", "$p =$") if latex else p
    return f"{mean}{_interval(said, found, latex, signed=True)}, {p}"


def _signed(said: Metric, value: float) -> str:
    text = said.text(value)
    return text if text.startswith("-") else f"+{text}"


def _p_text(p: float) -> str:
    """A p-value with the digits that mean something."""
    return (
        "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("= 0", "= ").replace("= 1.000", "= 1")
    )


def _number(text: str, latex: bool) -> str:
    """A number with its sign as a sign and no hyphen."""
    return f"${text}$" if latex and text[:1] in "+-" else text


Cell = Callable[[str, Column], str]


def _markdown_table(
    comparison: Comparison, cell: Cell, names: Sequence[str] | None = None, prefix: str = ""
) -> str:
    names = [each.name for each in comparison.systems] if names is None else names
    columns = comparison.columns
    sets = list(dict.fromkeys(column.set for column in columns))
    heads = [
        prefix + (f"{column.set} " if len(sets) > 1 else "") + _head(comparison.described(column))
        for column in columns
    ]
    rows = [[sets[0] if len(sets) == 1 else "", *heads], *([n] for n in names)]
    lines = [[escape_markdown(each) for each in row] for row in rows]
    for line, name in zip(lines[1:], names, strict=True):
        line += [cell(name, column) for column in columns]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            each.rjust(width) if at else each.ljust(width)
            for at, (each, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _latex_table(
    comparison: Comparison, cell: Cell, names: Sequence[str] | None = None, prefix: str = ""
) -> str:
    names = [each.name for each in comparison.systems] if names is None else names
    columns = comparison.columns
    groups, rules, at = [], [], 2
    for title, members in groupby(columns, key=lambda column: column.set):
        count = len(list(members))
        groups.append(rf"\multicolumn{{{count}}}{{c}}{{{escape_latex(title)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + count - 1}}}")
        at += count
    heads = [prefix + escape_latex(_head(comparison.described(column))) for column in columns]
    # Braces before each row: a name that began with a bracket would be an option of the row above.
    rows = [
        " & ".join([escape_latex(name), *(cell(name, column) for column in columns)])
        for name in names
    ]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'c' * len(columns)}}}",
            r"\toprule",
            " & ".join(["", *groups]) + r" \\",
            "".join(rules),
            " & ".join(["", *heads]) + r" \\",
            r"\midrule",
            *(rf"{{}}{row} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
