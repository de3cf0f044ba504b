#!/usr/bin/env python3
"""Makes languages-train.tsv and languages-test.tsv, words with their language, from word lists.

    apt-get download wamerican wspanish wdutch wpolish
    python3 make_languages.py *.deb         (writes both files beside itself; needs dpkg-deb)

Only lists whose licence lets their words stand in a file of Apache-2.0: README.md. A line is
LABEL<TAB>WORD, labels in the order of LANGUAGES. A word is in one of the files, once: those that
two languages share are left out, and so are names, abbreviations and the very short.
"""

import pathlib
import random
import subprocess
import sys
import tempfile

LANGUAGES = [  # package, its list
    ("wamerican", "american-english"),
    ("wspanish", "spanish"),
    ("wdutch", "dutch"),
    ("wpolish", "polish"),
]
TRAIN, TEST = 5000, 1000  # of each language
SHORTEST, LONGEST = 4, 14


def words_of(archives, package, name):
    archive = next(a for a in archives if pathlib.Path(a).name.startswith(f"{package}_"))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
        text = (pathlib.Path(folder) / "usr/share/dict" / name).read_text(encoding="utf-8")
    return {
        w
        for w in text.split("\n")
        if w.isalpha() and w.islower() and SHORTEST <= len(w) <= LONGEST
    }


def main():
    lists = [words_of(sys.argv[1:], *language) for language in LANGUAGES]
    rng = random.Random(1)
    train, test = [], []
    for label, words in enumerate(lists):
        others = set().union(*(w for i, w in enumerate(lists) if i != label))
        drawn = rng.sample(sorted(words - others), TRAIN + TEST)
        train += [(label, word) for word in drawn[:TRAIN]]
        test += [(label, word) for word in drawn[TRAIN:]]
    for name, samples in ("train", train), ("test", test):
        rng.shuffle(samples)
        text = "".join(f"{label}\t{word}\n" for label, word in samples)
        path = pathlib.Path(__file__).parent / f"languages-{name}.tsv"
        path.write_text(text, encoding="utf-8")


main()
