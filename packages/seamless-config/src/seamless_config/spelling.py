"""The valid spelling that is nearest to a wrong one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("meant", "one_of")


def meant(word: object, valid: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" when one of the valid words is near, else "".

    >>> meant("clutser", ["cluster", "clusters", "stage"])
    "Did you mean 'cluster'?"
    """
    import difflib

    valid = list(valid)
    text = str(word)
    folded = {name.lower().replace("_", "-"): name for name in valid}
    same = folded.get(text.strip().lower().replace("_", "-"))
    near = [same] if same is not None else difflib.get_close_matches(text, valid, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else ""


def one_of(valid: Iterable[str]) -> str:
    """Return the words as a sentence names them.

    >>> one_of(["a", "b", "c"])
    "'a', 'b' or 'c'"
    """
    words = [repr(word) for word in valid]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
