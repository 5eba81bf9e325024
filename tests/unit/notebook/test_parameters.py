"""What Papermill hands over: unknown names, and values of the wrong type."""

from __future__ import annotations

import pytest

from runbook.errors import BadInput
from runbook.notebook.parameters import as_text, as_truth, check_names, looks_changed

OWN = 'database: str = ""  # where\nrun_dir = ""'


def test_known_parameters_pass() -> None:
    check_names(["", OWN, '# Parameters\ndatabase = "x"\n', "anything = 1"])


def test_a_misspelt_parameter_is_named_with_the_nearest() -> None:
    with pytest.raises(BadInput, match='no parameter "databse"; did you mean "database"'):
        check_names(["", OWN, '# Parameters\ndatabse = "x"\n'])
    with pytest.raises(BadInput, match="it has: database, run_dir"):
        check_names(["", OWN, "# Parameters\nzzz = 1\n"])


def test_the_paths_that_papermill_can_inject_are_known() -> None:
    paths = "PAPERMILL_INPUT_PATH = 'a'\nPAPERMILL_OUTPUT_PATH = 'b'\n"
    check_names(["", OWN, f"# Parameters\n{paths}run_dir = 'r'"])
    with pytest.raises(BadInput, match=r"it has: database, run_dir\."):
        check_names(["", OWN, f"# Parameters\n{paths}zzz = 1"])


def test_cells_that_are_no_python_are_passed_over() -> None:
    check_names(["", OWN, "%load_ext x", "# Parameters\nrun_dir = 'r'"])


@pytest.mark.parametrize(
    ("value", "text"), [(12, "12"), (1.5, "1.5"), (None, ""), ("0012", "0012")]
)
def test_texts(value: object, text: str) -> None:
    assert as_text("ticket", value) == text
    assert looks_changed(value) == (value in (12, 1.5))


@pytest.mark.parametrize("value", [True, [1], {"a": 1}])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(BadInput, match='"ticket" must be a string'):
        as_text("ticket", value)


@pytest.mark.parametrize(("value", "truth"), [(True, True), ("true", True), ("False", False)])
def test_truths(value: object, truth: bool) -> None:
    assert as_truth("restore", value) is truth


@pytest.mark.parametrize("value", ["no", "", 0, 1, None])
def test_nothing_else_is_taken_for_a_truth(value: object) -> None:
    with pytest.raises(BadInput, match='"restore" must be True or False'):
        as_truth("restore", value)
