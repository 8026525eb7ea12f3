"""Reference generators of the tasks of state tracking, copying and recall, in the manner of `reference_generators`.

They follow the code of the tasks' sources: a loop over symbols, or NumPy within one row, such as sampling without
replacement in Zoology and the recursive expressions of the Chomsky hierarchy.
"""

import operator
import random as python_random
from collections.abc import Callable
from typing import Any

import numpy as np

from seqhub.tasks import (
    bucket_sort,
    copying,
    dyck,
    fuzzy_recall,
    induction,
    memorization,
    mqar,
    noisy_recall,
    regular_in_context,
    selective_copy,
)
from seqhub.tasks.schema import Example

Random = python_random.Random
Values = np.random.Generator

_MOVES = {"0": 0, "+": 1, "-": -1}


def generate_parity(config: Any, symbols: Random, values: Values) -> Example:
    text, odd, targets = "", 0, []
    for _ in range(symbols.randint(*config.length)):
        bit = symbols.randrange(2)
        odd ^= bit
        text += str(bit)
        targets.append("odd" if odd else "even")
    return Example(text, targets if config.every_step else targets[-1])


def generate_even_pairs(config: Any, symbols: Random, values: Values) -> Example:
    text = "".join(symbols.choices("ab", k=symbols.randint(*config.length)))
    return Example(text, "odd" if (text.count("ab") + text.count("ba")) % 2 else "even")


def generate_cycle_navigation(config: Any, symbols: Random, values: Values) -> Example:
    text, position = "", 0
    for _ in range(symbols.randint(*config.length)):
        move = symbols.choice("0+-")
        position = (position + _MOVES[move]) % 5
        text += move
    return Example(text, str(position))


_APPLY: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def generate_modular_arithmetic(config: Any, symbols: Random, values: Values) -> Example:
    if config.kind == "brackets":
        text, value = _expression(symbols.randint(*config.length), symbols)
        return Example(text, str(value))
    digits = [symbols.choice("01234")]
    text, total, term = digits[0], 0, int(digits[0])
    for _ in range(symbols.randint(config.length[0] // 2, config.length[1] // 2)):
        sign, digit = symbols.choice("+-*"[: config.operators]), symbols.choice("01234")
        text += sign + digit
        if config.kind == "precedence" and sign != "*":
            total, term = total + term, _APPLY[sign](0, int(digit))
        else:
            term = _APPLY[sign](term, int(digit))
    return Example(text, str((total + term) % 5))


def _expression(size: int, symbols: Random) -> tuple[str, int]:
    if size <= 2:
        digit = symbols.randrange(5)
        return (str(digit), digit) if size == 1 else (f"-{digit}", -digit % 5)
    if size <= 4:
        text, value = _expression(size - 2, symbols)
        return f"({text})", value
    left = symbols.randint(1, size - 4)
    one, first = _expression(left, symbols)
    other, second = _expression(size - 3 - left, symbols)
    sign = symbols.choice("+-*")
    return f"({one}{sign}{other})", _APPLY[sign](first, second) % 5


def generate_group_word(config: Any, symbols: Random, values: Values) -> Example:
    words, products = symbols.choices(config.symbols, k=symbols.randint(*config.length)), []
    product = words[0]
    for number, word in enumerate(words):
        if not number:
            products.append(product)
            continue
        if config.group == "z60":
            product = str((int(product) + int(word)) % 60)
        else:
            product = "".join(word[int(image)] for image in product)
        products.append(product)
    return Example(" ".join(words), products)


def _with_answer(text: str, answer: list[str] | str) -> Example:
    return Example(text + "_" * len(answer), [*[None] * len(text), *answer])


def generate_copying(config: Any, symbols: Random, values: Values) -> Example:
    count = symbols.randint(*config.symbols)
    if config.kind != "repeat":
        letters = "".join(symbols.choices(copying.TASK.schema(config).labels, k=count))
        return _with_answer(letters + "_" * config.delay + "|", letters)
    repeats = symbols.randint(*config.repeats)
    vectors = [format(symbols.getrandbits(8), "08b") for _ in range(count)]
    answer = [*vectors * repeats, copying.TASK.schema(config).labels[-1]]
    words = [*vectors, *["x"] * repeats]
    return Example(" ".join([*words, *["_"] * len(answer)]), [*[None] * len(words), *answer])


def _string(config: Any, symbols: Random, letters: str = "01") -> str:
    return "".join(symbols.choices(letters, k=symbols.randint(*config.symbols)))


def generate_reverse_string(config: Any, symbols: Random, values: Values) -> Example:
    text = _string(config, symbols)
    return _with_answer(text, text[::-1])


def generate_duplicate_string(config: Any, symbols: Random, values: Values) -> Example:
    text = _string(config, symbols)
    return _with_answer(text, text + text)


def generate_odds_first(config: Any, symbols: Random, values: Values) -> Example:
    text = _string(config, symbols)
    return _with_answer(text, text[::2] + text[1::2])


def generate_bucket_sort(config: Any, symbols: Random, values: Values) -> Example:
    text = _string(config, symbols, "".join(bucket_sort.TASK.labels))
    return _with_answer(text, "".join(sorted(text)))


def generate_missing_duplicate(config: Any, symbols: Random, values: Values) -> Example:
    half = symbols.choices("01", k=symbols.randint(config.length[0] // 2, config.length[1] // 2))
    whole = half + half
    hidden = symbols.randrange(len(whole))
    answer, whole[hidden] = whole[hidden], "?"
    return Example("".join(whole), answer)


def generate_stack_manipulation(config: Any, symbols: Random, values: Values) -> Example:
    size = symbols.randint(*config.symbols)
    stack = symbols.choices("01", k=symbols.randint(1, max(size - 1, 1)))
    text = "".join(stack)
    for _ in range(size - len(stack)):
        action = symbols.choice("xab")
        text += action
        if action != "x":
            stack.append({"a": "0", "b": "1"}[action])
        elif stack:
            stack.pop()
    answer = [*stack[::-1], "end"]
    return Example(text + "_" * (size + 1), [*[None] * size, *answer, *[None] * (size + 1 - len(answer))])


def _query_places(space: int, count: int, values: Values) -> Any:
    weights = np.arange(1, space + 1) ** -0.99
    return values.choice(space, size=count, replace=False, p=weights / weights.sum())


def generate_mqar(config: Any, symbols: Random, values: Values) -> Example:
    steps, pairs, half = config.length[0], config.pairs, config.vocab_size // 2
    if isinstance(config, mqar.MqarMixConfig):
        steps, pairs, _ = symbols.choices(config.mix, weights=[each[2] for each in config.mix])[0]
    keys = values.choice(np.arange(1, half), size=pairs, replace=False)
    answers = values.choice(np.arange(half), size=pairs, replace=False)
    row = np.zeros(steps, np.int64)
    if config.fillers == "safe":
        allowed = np.setdiff1d(np.arange(config.vocab_size), keys)
        row = values.choice(allowed, size=steps)
    elif config.fillers == "original":
        row = values.integers(config.vocab_size, size=steps)
    row[0 : 2 * pairs : 2], row[1 : 2 * pairs : 2] = keys, half + answers
    targets: list[str | None] = [None] * steps
    for key, answer, place in zip(keys, answers, _query_places(steps // 2 - pairs, pairs, values), strict=True):
        row[2 * (pairs + place)] = key
        targets[2 * (pairs + place)] = f"v{answer}"
    return Example(" ".join(config.vocabulary.symbols[number] for number in row), targets)


def generate_mqar_repeated(config: Any, symbols: Random, values: Values) -> Example:
    steps, pairs = config.length[0], config.keys * config.times
    owners = [f"k{key}" for key in symbols.sample(range(1, 32), config.keys)]
    order = owners * config.times
    symbols.shuffle(order)
    words, assigned = list[str](), dict[str, list[str]]()
    for key in order:
        value = f"v{symbols.randrange(32)}"
        words += [key, value]
        assigned.setdefault(key, []).append(value)
    words += ["_"] * (steps - 2 * pairs)
    targets: list[str | None] = [None] * steps
    for key, place in zip(owners, _query_places(steps // 2 - pairs, len(owners), values), strict=True):
        words[2 * (pairs + place)], targets[2 * (pairs + place)] = key, assigned[key][-config.back]
    return Example(" ".join(words), targets)


def generate_induction(config: Any, symbols: Random, values: Values) -> Example:
    length = symbols.randint(*config.length)
    text = symbols.choices(induction.NOISE, k=length)
    place = symbols.randrange(length - 2)
    text[place] = text[-1] = induction.SPECIAL
    return Example("".join(text), text[place + 1])


def generate_selective_copy(config: Any, symbols: Random, values: Values) -> Example:
    context = config.length[0] - config.count - 1
    data = symbols.choices(selective_copy.DATA, k=config.count)
    text = [selective_copy.BLANK] * context
    if config.inserted:
        text = list(data)
        for _ in range(context - config.count):
            place = symbols.choice([i for i, each in enumerate(text) if each != selective_copy.BLANK])
            text.insert(place, selective_copy.BLANK)
    else:
        for place, symbol in zip(sorted(symbols.sample(range(context), config.count)), data, strict=True):
            text[place] = symbol
    whole = "".join(text) + selective_copy.COPY + selective_copy.BLANK * config.count
    return Example(whole, [*[None] * (context + 1), *data])


def generate_flip_flop(config: Any, symbols: Random, values: Values) -> Example:
    text, targets, memory = "", list[str | None](), ""
    pairs = config.length[0] // 2
    weights = [(1 - config.ignore) / 2, (1 - config.ignore) / 2, config.ignore]
    for pair in range(pairs):
        instruction = "w" if not pair else "r" if pair == pairs - 1 else symbols.choices("wri", weights)[0]
        bit = memory if instruction == "r" else symbols.choice("01")
        if instruction == "w":
            memory = bit
        text += instruction + bit
        targets += [memory if instruction == "r" else None, None]
    return Example(text, targets)


def generate_noisy_recall(config: Any, symbols: Random, values: Values) -> Example:
    pairs = config.length[0] // 2
    value_of = {key: symbols.choice(noisy_recall.VALUES) for key in noisy_recall.KEYS}
    certain, seen = symbols.randrange(pairs), set[str]()
    text, targets = "", list[str | None]()
    for pair in range(pairs):
        if pair != certain and symbols.random() < config.noise:
            text += "".join(symbols.choices(noisy_recall.NOISE, k=2))
            targets += [None, None]
            continue
        key = symbols.choice(noisy_recall.KEYS)
        text += key + value_of[key]
        targets += [value_of[key] if key in seen else None, None]
        seen.add(key)
    last = symbols.choice(sorted(seen))
    return Example(text + last, [*targets, value_of[last]])


def generate_fuzzy_recall(config: Any, symbols: Random, values: Values) -> Example:
    value_of, text, targets = dict[str, str](), "", list[str | None]()
    while True:
        key = "".join(symbols.sample(fuzzy_recall.KEYS, symbols.randint(1, 3)))
        last = len(text) >= config.length[0] - 12
        if last:
            key = symbols.choice(list(value_of))
        seen = key in value_of
        value = value_of.setdefault(key, "".join(symbols.sample(fuzzy_recall.VALUES, symbols.randint(1, 3))))
        text += key + value
        targets += [*[None] * (len(key) - 1), *(value if seen else [None] * len(value)), None]
        if last:
            break
    left = config.length[0] + 1 - len(text)
    return Example(fuzzy_recall.PADDING * left + text[:-1], [*[None] * left, *targets[:-1]])


def generate_compression(config: Any, symbols: Random, values: Values) -> Example:
    from seqhub.tasks.compression import BLANK, COMPRESS, NOISE

    noise = symbols.choices(NOISE, k=config.length[0] // 2)
    return Example("".join(noise) + COMPRESS + BLANK * len(noise), [*[None] * (len(noise) + 1), *noise])


def generate_memorization(config: Any, symbols: Random, values: Values) -> Example:
    value_of = memorization.value_numbers(config.keys)
    words, targets = list[str](), list[str | None]()
    for _ in range(config.length[0] // 2):
        key = symbols.randrange(config.keys)
        words += [f"k{key}", memorization.BLANK]
        targets += [None, f"v{value_of[key]}"]
    return Example(" ".join(words), targets)


def generate_dyck(config: Any, symbols: Random, values: Values) -> Example:
    total = 2 * symbols.randint(*(steps // 2 for steps in config.length))
    shares = dyck._shares(total, config.depth)
    text, opened = "", list[str]()
    for left in range(total, 0, -1):
        if symbols.random() < shares[left, len(opened)]:
            opened.append(symbols.choice(dyck.OPENING[: config.kinds]))
            text += opened[-1]
        else:
            text += opened.pop().upper()
    return Example(text + dyck.END, None)


def generate_regular_in_context(config: Any, symbols: Random, values: Values) -> Example:
    states = symbols.randint(*config.states)
    used = symbols.sample(regular_in_context.SYMBOLS, symbols.randint(*config.symbols))
    automaton = [
        {symbol: symbols.randrange(states) for symbol in symbols.sample(used, symbols.randint(1, 4))}
        for _ in range(states)
    ]
    strings = []
    for _ in range(config.strings):
        state, string = 0, ""
        for _ in range(symbols.randint(*config.string_length)):
            symbol = symbols.choice(list(automaton[state]))
            state = automaton[state][symbol]
            string += symbol
        strings.append(string)
    return Example(regular_in_context.SEPARATOR.join(strings), None)


NAMES = tuple(name.removeprefix("generate_") for name in list(globals()) if name.startswith("generate_"))
"""Tasks with a generator in this module."""
