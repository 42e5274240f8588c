"""The checker of docstrings sees what is missing."""

from tools.docstrings import faults

GOOD = '''
def f(a: int, b: int, c: int) -> int:
    """Return the sum.

    Args:
        a: one.
        b: two.
        c: three.

    Returns:
        It.

    Raises:
        ValueError: a is 0.
    """
    if not a:
        raise ValueError
    return a + b + c
'''


def test_a_whole_docstring_passes() -> None:
    assert list(faults(GOOD)) == []


def test_each_missing_section_is_named() -> None:
    for section in ("Args", "Returns", "Raises"):
        assert list(faults(GOOD.replace(f"{section}:", "Note:"))) == [("f", section)]
    assert list(faults(GOOD, examples=True)) == [("f", "Example")]


def test_two_arguments_private_names_and_self_need_no_sections() -> None:
    assert list(faults('def f(a: int, b: int) -> int:\n    """Return it."""\n')) == []
    assert list(faults('def _f(a: int, b: int, c: int) -> int:\n    """Return it."""\n')) == []
    method = 'class A:\n    def f(self, a: int, b: int) -> int:\n        """Return it."""\n'
    assert list(faults(method)) == []


def test_words_that_we_no_longer_use_are_named() -> None:
    for text in ("What it is.", "Say that it is no folder.", "Raise where there is no file."):
        assert list(faults(f'def f() -> None:\n    """{text}"""\n')) == [("f", "words")]
