"""Numbers, times and texts as people read them."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import pytest

from runbook import wording
from runbook.wording import and_more, clip, counted, duration, listed, more, size, visible, when
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0.000 s"),
        (0.0004, "< 0.001 s"),
        (0.0005, "0.001 s"),
        (0.412, "0.41 s"),
        (9.96, "10.0 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h"),
        (86_400, "24 h"),
        (5_430, "1 h 30 min"),
    ],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1, "1 byte"),
        (512, "512 bytes"),
        (4_200, "4.20 kB"),
        (999_600, "1.00 MB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_sizes(count: int, told: str) -> None:
    assert size(count) == told


def test_words() -> None:
    assert counted(1, "row") == "1 row"
    assert counted(2_000, "row") == "2,000 rows"
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(["a", "b", "c"], most=2) == "a, b and 1 more"
    assert clip("abcdef", 3) == "abc… (6 characters)"
    assert clip("abc", 3) == "abc"


def test_instants() -> None:
    assert when("2026-11-22T18:17:00+01:00") == "22 November 2026, 17:17:00 UTC"
    assert when("2026-11-22 17:17:00.123") == "22 November 2026, 17:17:00 UTC"
    assert when("yesterday") == "yesterday"


def test_what_cannot_be_seen_is_spelled_out() -> None:
    assert visible("a\x00\x1b[31m\u202eb\ud800\r") == r"a\x00\x1b[31m\u202eb\ud800\x0d"
    assert visible("Zoë 東京 \U0001f600\n\t") == "Zoë 東京 \U0001f600\n\t"


def test_how_many_more() -> None:
    assert [and_more(n, "finding") for n in (0, 1, 2000)] == [
        "",
        " (and 1 more finding)",
        " (and 2,000 more findings)",
    ]
    assert and_more(3) == " (and 3 more)"
    assert [more(1, "row"), more(2, "row"), more(1000)] == [
        "and 1 more row",
        "and 2 more rows",
        "and 1,000 more",
    ]
    assert and_more(-1) == ""


_COUNTED = re.compile(
    r" (?:rows|values|tables|files|findings|invariants|counts|results|statements|entries|cells|"
    r"notebooks|users|projects|organizations|memberships|differences|problems|queries|warnings|"
    r"notes|times|seconds|mentions|databases|approvals|triggers|views|steps)\b"
)


def _uncounted(tree: ast.AST) -> list[str]:
    """f-strings that put a number before a plural by hand, which reads `1 rows` sooner or later."""
    return [
        ast.unparse(number.value)
        for text in ast.walk(tree)
        if isinstance(text, ast.JoinedStr)
        for number, noun in itertools.pairwise(text.values)
        if isinstance(number, ast.FormattedValue)
        and isinstance(noun, ast.Constant)
        and _COUNTED.match(str(noun.value))
        and not ast.unparse(number.value).isupper()  # a limit, which is never 1
    ]


def test_a_number_and_its_noun_are_put_together_in_one_place() -> None:
    assert _uncounted(ast.parse('f"{n:,} rows were lost"')) == ["n"]
    package = Path(wording.__file__).parent
    by_hand = {
        f"{path.relative_to(package)}: {number}"
        for path in package.rglob("*.py")
        for number in _uncounted(ast.parse(path.read_text()))
    }
    # These are shown only where they are in the hundreds, below zero, a range, or three at least.
    assert by_hand == {
        "cli/scan.py: total",
        "report/charts.py: band",
        "report/summary.py: times",
        "sample/make.py: projects",
    }


_COUNTED_ON_A_PAGE = re.compile(r"\{\{ ([^{}]*)\|number \}\}" + _COUNTED.pattern)


def test_a_page_puts_a_number_and_its_noun_together_in_one_place() -> None:
    assert _COUNTED_ON_A_PAGE.findall("kept {{ n|number }} rows that") == ["n"]
    by_hand = {
        number
        for page in Path(wording.__file__).parent.rglob("*.j2")
        for number in _COUNTED_ON_A_PAGE.findall(page.read_text(encoding="utf-8"))
    }
    # Shown only where there are more than problems, of which there is one at least.
    assert by_hand == {"contents.findings|length"}


_NOT_FOR_OPERATORS = re.compile(
    r"\b(?:nobody|somebody|anybody|everybody|a look(?!-)|mends?|mended|all is well|answered well)\b",
    re.IGNORECASE,
)
"""A text for operators names the process, client or person, and says inspect, repair, pass."""


def _texts(source: str, docstrings: bool) -> list[str]:
    """The texts of a module; `docstrings` are among them where they are a command's help."""
    tree = ast.parse(source)
    comments = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and not docstrings
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in comments
    ]


def _operator_texts() -> dict[str, str]:
    """Whatever an operator may read, by the file that it stands in."""
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder, pattern in [
            (".", "*.md"),
            ("docs", "**/*.md"),
            ("docs/schema", "*"),
            ("notebooks", "*.ipynb"),
            ("sql", "**/*.sql"),
            ("runbook", "**/*.toml"),
            ("runbook", "**/*.j2"),
            ("runbook", "**/*.css"),
        ]
        for path in (ROOT / folder).glob(pattern)
    }
    for path in (ROOT / "runbook").rglob("*.py"):
        helping = path.parent.name == "cli"
        parts = _texts(path.read_text(encoding="utf-8"), helping)
        texts[str(path.relative_to(ROOT))] = "\n".join(parts)
    return texts


def test_texts_for_operators_name_who_and_what() -> None:
    wrong = {
        (path, match[0].lower())
        for path, text in _operator_texts().items()
        for match in _NOT_FOR_OPERATORS.finditer(text)
    }
    assert wrong == {("runbook/plan/secrets.py", "nobody")}  # the name of a system account


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ('def f():\n    """Nobody."""\n    return f"{n}: somebody wrote"\n', ["somebody"]),
        ('raise E("a look shows")\n', ["a look"]),
        ('x = "a look-up, as well as the organizations"\n', []),
        ('x = "No statement mends pages where all is well"\n', ["mends", "all is well"]),
    ],
)
def test_a_word_that_is_not_for_operators_is_found(source: str, wrong: list[str]) -> None:
    assert _NOT_FOR_OPERATORS.findall("\n".join(_texts(source, docstrings=False))) == wrong
