"""Sentiment: sentences of a small grammar in which a distant word negates the adjective.

Source: Pang, Lee & Vaithyanathan (2002), "Thumbs up? Sentiment Classification using Machine Learning Techniques",
EMNLP, who classified film reviews by their words and marked words after a negation; the grammar is made for this task.

A sentence has two clauses, one about the film and one about another topic. Each clause has a subject, several phrases
about the occasion, and an adjective for its topic. The label is the sentiment about the *film*. An affirming subject
(`everybody`) keeps the meaning of the adjective, a negating subject (`nobody`) reverses it:

    >>> TASK.solve(
    ...     "nobody on good seats in bad weather said that the film was awful "
    ...     "but everybody in the rain who never slept found that the dinner was great"
    ... )
    'good'

The other clause always has a subject and an adjective of the opposite kinds, and the occasions contain `good`, `bad`,
`not` and `never` out of scope. So every sentence has one affirming and one negating subject, one positive and one
negative adjective, and all other words are independent of the label. Word counts carry no information, and a bag of
words stays at the chance level, 1/2. `short` has 6 to 9 words between subject and verb, `long` 21 to 30.
`sentiment/custom` takes your own sentences and labels.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from seqhub.errors import InvalidInputError
from seqhub.tasks.base import Task
from seqhub.tasks.rng import BlockRandom
from seqhub.tasks.schema import Batch, IntRange, TaskConfig
from seqhub.tasks.vocabulary import PAD_ID

NEGATING = ("nobody", "none", "neither")
AFFIRMING = ("everybody", "all", "both")
PRAISING = ("good", "great", "fine", "lovely")
DAMNING = ("bad", "awful", "poor", "dull")
TOPIC = "film"
OTHERS = ("dinner", "weather", "music", "hall")
VERBS = ("said", "found", "thought")
LINKS = ("while", "but", "and", "whereas")
OCCASIONS = (
    "in the evening", "with old friends", "from the village", "after the dinner", "without a coat", "on good seats",
    "in bad weather", "who never slept", "not yet forty", "near the door", "at the back", "in the rain",
    "with great hopes", "in awful shoes", "before the storm", "not too tired",
)  # fmt: skip

_OCCASION = 3  # words
_REST = 6  # words of a clause after its occasions: verb, that, the, topic, was, adjective


@dataclass(frozen=True, kw_only=True)
class SentimentConfig(TaskConfig):
    """Distance between subject and adjective."""

    occasions: IntRange  # number of occasions in each clause, of 3 words each

    def __post_init__(self) -> None:
        low, high = self.occasions
        lengths = tuple(2 * (1 + _OCCASION * each + _REST) + 1 for each in (low, high))
        self.require(0 <= low <= high and self.length == lengths, f"0 <= low <= high occasions and length={lengths}")


class Sentiment(Task[SentimentConfig]):
    """Classification of sentences with distant negation."""

    name = "sentiment"
    version = 1
    title = "Sentiment of sentences with distant negation"
    symbols = tuple(
        dict.fromkeys(
            " ".join(
                (*NEGATING, *AFFIRMING, *PRAISING, *DAMNING, TOPIC, *OTHERS, *VERBS, *LINKS, "that the was", *OCCASIONS)
            ).split()
        )
    )
    separator = " "
    labels = ("good", "bad")
    marked = (*NEGATING, *AFFIRMING, TOPIC, *PRAISING, *DAMNING)
    custom_format = "csv"
    description = (
        "A sentence has two clauses, one of them about the film. The label is the sentiment of its adjective, good or "
        "bad, reversed if the clause starts with nobody, none or neither. The other clause has a subject and an "
        "adjective of the opposite kinds, so word counts carry no information."
    )
    limits = (
        "Sentences of a grammar with 59 words, in which the label depends only on word order. They show what a network "
        "can learn that a bag of words cannot, and nothing about real reviews."
    )
    source = """@inproceedings{pang2002thumbs,
  author    = {Pang, Bo and Lee, Lillian and Vaithyanathan, Shivakumar},
  title     = {Thumbs up? Sentiment Classification using Machine Learning Techniques},
  booktitle = {Proceedings of the Conference on Empirical Methods in Natural Language Processing (EMNLP)},
  pages     = {79--86},
  year      = {2002}
}"""
    configs = (
        SentimentConfig(name="short", length=(27, 33), occasions=(2, 3)),
        SentimentConfig(name="long", length=(57, 75), occasions=(7, 10)),
    )

    def generate(self, config: SentimentConfig, random: BlockRandom) -> Batch:
        topic_first = random.integers(0, 1)
        negated = random.integers(0, 1)  # subject of the clause about the film
        damned = random.integers(0, 1)  # adjective of the clause about the film
        link = self._words(random, LINKS)
        subjects = self._words(random, AFFIRMING), self._words(random, NEGATING)
        adjectives = self._words(random, PRAISING), self._words(random, DAMNING)
        topics = self.vocabulary.ids[TOPIC], self._words(random, OTHERS)
        fewest, most = config.occasions
        words = np.empty((random.size, _words_of_parts(most)), dtype=np.uint16)
        words[:, -2], words[:, -1] = link, PAD_ID
        counts = []
        for other, clause in enumerate(np.split(words[:, :-2], 2, axis=1)):
            counts.append(random.integers(fewest, most))
            clause[:, 0] = np.where(negated ^ other, subjects[1], subjects[0])
            chosen = random.integers_2d(0, len(OCCASIONS) - 1, most)
            clause[:, 1:-_REST] = self._ids(OCCASIONS)[chosen].reshape(random.size, -1)
            verb = self._words(random, VERBS)
            that, the, was = (self.vocabulary.ids[word] for word in ("that", "the", "was"))
            adjective = np.where(damned ^ other, adjectives[1], adjectives[0])
            for place, word in enumerate((verb, that, the, topics[other], was, adjective), -_REST):
                clause[:, place] = word
        kind = (topic_first * (most - fewest + 1) + counts[0] - fewest) * (most - fewest + 1) + counts[1] - fewest
        places = np.take(_places(config.occasions), kind, axis=0)
        places += (np.arange(random.size) * words.shape[1])[:, None]
        ids = words.reshape(-1)[places]
        lengths = _OCCASION * (counts[0] + counts[1]) + 2 * (1 + _REST) + 1
        return Batch(ids, lengths, negated ^ damned)

    def _words(self, random: BlockRandom, words: tuple[str, ...]) -> NDArray[np.uint16]:
        """Return ids (N,) of a random one of `words` for each sentence."""
        return self._ids(words)[random.integers(0, len(words) - 1)].ravel()

    def _ids(self, texts: tuple[str, ...]) -> NDArray[np.uint16]:
        """Return the ids of texts with an equal number of words: (texts, words)."""
        return np.array([self.vocabulary.encode(text) for text in texts], dtype=np.uint16)

    def solve(self, sequence: str) -> str:
        words = sequence.split(" ")
        links = [step for step, word in enumerate(words) if word in LINKS]
        if len(links) == 1:
            halves = [_read(words[: links[0]]), _read(words[links[0] + 1 :])]
            found = [half for half in halves if half and half[1] == TOPIC]
            if all(halves) and len(found) == 1:
                ((subject, _, adjective),) = found
                return self.labels[(subject in NEGATING) ^ (adjective in DAMNING)]
        raise InvalidInputError(
            f"{sequence[:60]!r} is not a valid {self.name} sentence: must be two clauses, one of them about the {TOPIC}"
        )


def _words_of_parts(most: int) -> int:
    """Return the number of words of two clauses with `most` occasions each, a link and padding."""
    return 2 * (1 + _OCCASION * most + _REST) + 2


@cache
def _places(occasions: IntRange) -> NDArray[np.int64]:
    """Return where the words of a sentence are among its parts (kinds, T).

    The parts are the clause about the film and the other one, with the largest number of occasions, a link and padding.
    Sentences of a kind have the same first clause and the same numbers of occasions in both.
    """
    fewest, most = occasions
    parts = _words_of_parts(most)
    clause, (link, padding) = parts // 2 - 1, (parts - 2, parts - 1)
    kinds = []
    for film_first, *counts in product((0, 1), range(fewest, most + 1), range(fewest, most + 1)):
        clauses = [
            [*range(start, start + 1 + _OCCASION * count), *range(start + clause - _REST, start + clause)]
            for start, count in zip((0, clause), counts, strict=True)
        ]
        first, second = clauses if film_first else clauses[::-1]
        sentence = [*first, link, *second]
        kinds.append(sentence + [padding] * (parts - 1 - len(sentence)))
    return np.array(kinds)


def _read(clause: list[str]) -> tuple[str, str, str] | None:
    """Return subject, topic and adjective of a clause; None if it is not valid."""
    subject, middle, rest = clause[:1], clause[1:-_REST], clause[-_REST:]
    occasions = {" ".join(middle[step : step + _OCCASION]) for step in range(0, len(middle), _OCCASION)}
    if subject[0:1] and subject[0] in NEGATING + AFFIRMING and occasions <= set(OCCASIONS) and len(rest) == _REST:
        verb, that, the, topic, was, adjective = rest
        known = verb in VERBS and topic in (TOPIC, *OTHERS) and adjective in PRAISING + DAMNING
        if known and (that, the, was) == ("that", "the", "was"):
            return subject[0], topic, adjective
    return None


TASK = Sentiment()
