"""The valid spelling that is nearest to a wrong one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ("meant", "one_of")

MIN_PREFIX = 3  # characters from which on the beginning of a word counts as near
MAX_WORD = 100  # what is longer was not meant as one of the words


def meant(word: object, valid: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" when one of the valid words is near, else "".

    >>> meant("clutser", ["cluster", "clusters", "stage"])
    "Did you mean 'cluster'?"
    """
    valid, text = list(valid), str(word)
    if len(text) > MAX_WORD:
        return ""
    import difflib

    folded = {name.lower().replace("_", "-"): name for name in valid}
    same = folded.get(text.strip().lower().replace("_", "-"))
    begun = [name for name in valid if len(text) >= MIN_PREFIX and name.lower().startswith(text.lower())]
    near = (
        [same] if same is not None else difflib.get_close_matches(text, valid, n=1, cutoff=0.6) or begun[:1]
    )
    return f"Did you mean {near[0]!r}?" if near else ""


def one_of(valid: Iterable[str]) -> str:
    """Return the words as a sentence names them.

    >>> one_of(["a", "b", "c"])
    "'a', 'b' or 'c'"
    """
    words = [repr(word) for word in valid]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
