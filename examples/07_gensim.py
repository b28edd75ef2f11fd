"""Word vectors that Gensim has learned from a large collection, as the eyes of a few-shot learner.

Texts of one topic share hardly a word here, so that terms say little after one example. Vectors
know which words stand beside each other in thirty thousand texts that nobody has labelled.

.venv/bin/python examples/07_gensim.py [--budget 30s]        (pip install 'metaloop[gensim]')
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from gensim.models import Word2Vec

import metaloop as ml

TOPICS, WORDS = 48, 60  # invented: topic 7 is written with the words t7w0 to t7w59

parser = argparse.ArgumentParser()
parser.add_argument("--budget", default="30s")
options = parser.parse_args()
rng = np.random.default_rng(0)


def text(topic: int, length: int) -> str:
    """Returns so many words of a topic, in no order."""
    return " ".join(f"t{topic}w{word}" for word in rng.choice(WORDS, length, replace=False))


# 1. A collection without labels, and what Gensim makes of its words.
collection = [text(int(topic), 8).split() for topic in rng.integers(0, TOPICS, 30_000)]
word2vec = Word2Vec(collection, vector_size=50, window=8, epochs=3, workers=1, seed=0)
encoder = ml.guests.gensim.as_encoder(word2vec.wv, knows="thirty thousand texts without labels")

with tempfile.TemporaryDirectory() as folder:
    # 2. A few labelled texts of each topic: what a learner learns to learn from.
    table = Path(folder) / "questions.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = [(text(topic, 4), f"topic {topic}") for topic in range(TOPICS) for _ in range(8)]
        csv.writer(file).writerows([("text", "label"), *rows])

    # 3. One example of each of five new topics, seen by their terms and by the vectors.
    for name, seen in (("terms", {"view": "words"}), ("word2vec", {"backbone": encoder})):
        trained = ml.train(table, "protonet", budget=options.budget, ways=5, queries=5, **seen)
        test = ml.evaluate(trained, table, episodes=500, backbone=seen.get("backbone"))
        print(f"{name:<9} {test.value:.1%} ± {test.ci95:.1%} of queries of new topics")

# 4. The last one, used: one text of each of two topics is enough to tell others.
classifier = trained.model.fit([text(1, 4), text(2, 4)], ["one", "two"])
print(classifier.predict([text(1, 4), text(2, 4)]).tolist())
