"""Tables of systems as Markdown, LaTeX and CSV: marks, directions, seeds, names that escape."""

from __future__ import annotations

import csv
import io
import re

import pytest

from tmd.errors import UserError
from tmd.evaluation import ImageValue, PerImage
from tmd.evaluation.comparison import Column, Compared, Comparison
from tmd.evaluation.typeset import escape_latex, to_latex, to_markdown

PSNR, LPIPS = Column("Set5", 4, "psnr"), Column("Set5", 4, "lpips_alex")
IMAGES = ("baby", "bird", "butterfly", "head", "woman")


def values(psnr: list[float], lpips: list[float], benchmark: str = "Set5") -> PerImage:
    found = []
    for metric, each in (("psnr", psnr), ("lpips_alex", lpips)):
        found += [
            ImageValue(benchmark, 4, "x", image, metric, value)
            for image, value in zip(IMAGES, each, strict=False)
        ]
    return PerImage(tuple(found))


def plus(base: list[float], more: float) -> list[float]:
    return [each + more for each in base]


BICUBIC = ([31.78, 30.18, 22.10, 31.59, 26.49], [0.30, 0.31, 0.42, 0.36, 0.32])
NAME = r"a_b & 50% #1 {x} ~^\ |*`<i>"


@pytest.fixture
def three() -> Comparison:
    bicubic = Compared("bicubic", (values(*BICUBIC),))
    seeds = tuple(
        values(plus(BICUBIC[0], 2.5 + d), plus(BICUBIC[1], -0.1)) for d in (0.0, 0.1, 0.2)
    )
    other = Compared(NAME, (values(plus(BICUBIC[0], 1.0), plus(BICUBIC[1], -0.2)),))
    return Comparison((bicubic, Compared("ours", seeds), other), (PSNR, LPIPS), "bicubic")


def cells(text: str, number: int = 0) -> dict[str, list[str]]:
    """First cell -> the others, of the table of that number."""
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in tables[number].splitlines()]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_best_and_second_are_marked_by_each_metrics_direction(three: Comparison) -> None:
    rows = cells(to_markdown(three))
    assert rows["Set5 ×4"] == ["PSNR (dB) ↑", "LPIPS-alex ↓"]
    bicubic, ours, other = rows["bicubic"], rows["ours"], list(rows.values())[-1]
    assert bicubic[0].startswith("28.43 [")
    assert bicubic[1].startswith("0.342 [")
    assert ours[0].startswith("**31.03** ± 0.10 [")
    assert ours[1].startswith("<ins>0.242</ins> ± 0.000 [")
    assert other[0].startswith("<ins>29.43</ins> [")
    assert other[1].startswith("**0.142** [")


def test_equal_printed_means_share_their_place() -> None:
    systems = tuple(
        Compared(name, (values(plus(BICUBIC[0], more), BICUBIC[1]),))
        for name, more in (("a", 0.001), ("b", 0.0), ("c", -1.0))
    )
    rows = cells(to_markdown(Comparison(systems, (PSNR,))))
    assert [rows[name][0][:9] for name in "abc"] == ["**28.43**", "**28.43**", "<ins>27.4"]


def test_two_systems_have_a_best_and_no_second(three: Comparison) -> None:
    two = Comparison(three.systems[:2], (PSNR,))
    assert "<ins>" not in to_markdown(two)
    assert "**31.03**" in to_markdown(two)
    assert "**" not in to_markdown(Comparison(three.systems[:1], (PSNR,)))


def test_differences_say_that_five_images_are_too_few(three: Comparison) -> None:
    text = to_markdown(three)
    rows = cells(text, 1)
    assert rows["Set5 ×4"] == ["Δ PSNR (dB) ↑", "Δ LPIPS-alex ↓"]
    assert "bicubic" not in rows
    assert re.fullmatch(r"\+2\.60 \[\+2\.\d\d, \+2\.\d\d\], p = \.062", rows["ours"][0])
    assert rows["ours"][1] == "-0.100 [-0.100, -0.100], p = .062"
    assert "with 5 images the test can't give less than p = 0.062" in text
    assert "it takes 6 images" in text
    assert "Trainings with other seeds: ours 3." in text


def test_latex_says_the_same_and_shows_names_as_they_are(three: Comparison) -> None:
    latexwalker = pytest.importorskip("pylatexenc.latexwalker")
    latex2text = pytest.importorskip("pylatexenc.latex2text")
    text = to_latex(three)
    tabulars = []
    nodes, _, _ = latexwalker.LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    for node in nodes:
        if node.isNodeType(latexwalker.LatexEnvironmentNode):
            assert node.environmentname == "tabular"
            tabulars.append(node)
    assert len(tabulars) == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    # Each row has a cell for each of the three columns, benchmarks' heads apart.
    counts = [len(re.findall(r"(?<!\\)&", row)) for row in rows if "multicolumn" not in row]
    assert set(counts) == {2}
    known = NAME.translate(dict.fromkeys(map(ord, "^|<>")))  # what that reader has a text of
    assert latex2text.LatexNodes2Text().latex_to_text(escape_latex(known)) == known
    assert escape_latex("^|<>") == r"\textasciicircum{}\textbar{}\textless{}\textgreater{}"
    assert r"\textbf{31.03} $\pm$ 0.10 {\scriptsize [" in text
    assert r"\underline{0.242}" in text
    assert r"\multicolumn{2}{c}{Set5 $\times$4}" in text
    assert r"PSNR (dB) $\uparrow$ & LPIPS-alex $\downarrow$" in text
    assert r"$-0.100$ {\scriptsize [$-0.100$, $-0.100$]}, $p =$ .062" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule(lr){2-3}"):
        assert rule in text


def test_csv_has_all_digits_and_both_benchmarks(three: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(three.to_csv())))
    assert len(rows) == 6
    first = rows[0]
    assert (first["system"], first["metric"], first["images"]) == ("bicubic", "psnr", "5")
    assert float(first["mean"]) == pytest.approx(sum(BICUBIC[0]) / 5)
    assert float(first["median"]) == 30.18
    assert first["difference_mean"] == first["deviation"] == ""
    assert float(rows[2]["difference_mean"]) == pytest.approx(2.6)
    assert float(rows[2]["deviation"]) == pytest.approx(0.1)


def test_several_benchmarks_stand_side_by_side() -> None:
    both = values(*BICUBIC) + values([30.0, 32.0], [0.1, 0.2], "Set 14")
    columns = (PSNR, Column("Set 14", 4, "psnr"))
    table = Comparison((Compared("a", (both,)),), columns)
    assert cells(to_markdown(table))[""] == ["Set5 ×4 PSNR (dB) ↑", "Set 14 ×4 PSNR (dB) ↑"]
    assert r"\cmidrule(lr){2-2}\cmidrule(lr){3-3}" in to_latex(table)
    assert "Set5 ×4 has 5 images, Set 14 ×4 has 2 images" in to_markdown(table)


def test_images_that_one_lacks_are_said_and_left_out_of_differences() -> None:
    fewer = values([31.0, 32.0], [0.1, 0.1])
    systems = (Compared("a", (values(*BICUBIC),)), Compared("b", (fewer,)))
    table = Comparison(systems, (PSNR,), "a")
    assert "PSNR of Set5 ×4 is not of the same images: a 5, b 2." in to_markdown(table)
    found = table.differences["b", PSNR]
    assert found.images == 2
    assert found.mean == pytest.approx((31.0 - 31.78 + 32.0 - 30.18) / 2)
    nothing = Compared("c", (values([], []),))
    with pytest.raises(UserError, match="c: no image of Set5 ×4 has psnr"):
        to_markdown(Comparison((nothing,), (PSNR,)))


def test_the_median_is_given_when_asked_for(three: Comparison) -> None:
    assert "28.43 / 30.18 [" in to_markdown(three, median=True)
    assert "28.43 / 30.18 {" in to_latex(three, median=True)
