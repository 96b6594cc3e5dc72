"""Count the letters of a text, once: the second run, of whatever program, finds the counts with the servers.

mkdir -p ~/.seamless && cp clusters.yaml ~/.seamless/ && python letters.py && python letters.py
"""

from pathlib import Path

import seamless.config
from seamless.transformer import direct, step_counters

seamless.config.init()


@direct
def count(text, letter):
    return text.count(letter)


text = Path("/usr/share/common-licenses/GPL-3").read_text()
print({letter: count(text, letter) for letter in "aeiou"})
print(f"{step_counters().executed} steps ran, results are with the servers of cluster 'mine'")
