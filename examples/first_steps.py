"""Compare the free licences that every Debian carries: which two say the most alike?

Each licence goes through a bash step that counts its words, and two Python steps. Run it twice: the second
time nothing is computed. Change one licence (`--edit GPL-3`): only what depends on its text is computed again.

    SEAMLESS_CACHE=/tmp/cache python first_steps.py
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from seamless.transformer import delayed, direct, step_counters

LICENCES = ("Apache-2.0", "BSD", "GPL-1", "GPL-2", "GPL-3", "LGPL-2", "LGPL-2.1", "LGPL-3", "MPL-2.0")
FOLDER = Path("/usr/share/common-licenses")

# A bash step: its inputs are files and variables, its result is the file RESULT.
count_words = delayed(
    "tr -cs '[:alpha:]' '\\n' < text | tr '[:upper:]' '[:lower:]' | sort | uniq -c > RESULT", "bash"
)
count_words.celltypes.text = "text"
count_words.celltypes.result = "text"


# A Python step: an ordinary function. It may import what it needs.
@delayed
def frequencies(listing):
    counts = {}
    for line in listing.splitlines():
        count, _, word = line.strip().partition(" ")
        if len(word) > 3:
            counts[word] = int(count)
    return counts


frequencies.celltypes.listing = "text"


# A direct step is computed when it is called. Its inputs may be other steps, also inside a list.
@direct
def similarities(tables):
    import numpy as np

    words = sorted(set().union(*tables))
    vectors = np.array([[table.get(word, 0) for word in words] for table in tables], dtype=float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors @ vectors.T


def main() -> None:
    parser = argparse.ArgumentParser(description="Which two free licences say the most alike?")
    parser.add_argument(
        "--edit", metavar="LICENCE", choices=LICENCES, help="pretend that this licence was changed"
    )
    edited = parser.parse_args().edit

    if not FOLDER.is_dir():
        parser.exit(1, f"error: the licences of Debian and Ubuntu are not here ({FOLDER} does not exist)\n")
    started = time.perf_counter()
    tables = []
    for name in LICENCES:
        text = (FOLDER / name).read_text(encoding="utf-8")
        if name == edited:
            text += "\nThe software shall be used with kindness.\n"
        tables.append(frequencies(count_words(text=text)))
    matrix = similarities(tables)
    seconds = time.perf_counter() - started

    pairs = [(matrix[i, j], i, j) for i in range(len(LICENCES)) for j in range(i)]
    for similarity, i, j in sorted(pairs, reverse=True)[:3]:
        print(f"{LICENCES[i]:10} and {LICENCES[j]:10} {similarity:.3f}")
    counters = step_counters()
    where = os.environ.get("SEAMLESS_CACHE", "memory only")
    print(f"{counters.executed} steps computed, {counters.hits} found, {seconds:.2f} s, cache: {where}")


if __name__ == "__main__":
    main()
