"""Wording of cards that depends on the schema of a task."""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from seqhub.cards.rendering import count, share, span
from seqhub.models.ids import ModelId
from seqhub.models.reports import Conformance
from seqhub.records import RunRecord
from seqhub.records.class_scores import class_scores_of, label_scores_of, macro_f1
from seqhub.tasks.base import Task
from seqhub.tasks.schema import StoppingRule, TaskConfig, TaskSchema

_TAGS = {  # (inputs are texts, target) -> task category of the Hub
    (True, "class"): "text-classification",
    (True, "number"): "text-classification",  # as on the Hub for scores of texts
    (True, "multi_label"): "text-classification",
    (True, "numbers"): "text-classification",
    (True, "step_class"): "token-classification",
    (True, "next_symbol"): "text-generation",
    (True, "sequence"): "translation",
    (False, "class"): "tabular-classification",
    (False, "number"): "tabular-regression",
    (False, "multi_label"): "tabular-classification",
    (False, "numbers"): "tabular-regression",
    (False, "step_class"): "tabular-classification",
    (False, "inputs"): "feature-extraction",
    (False, "sequence"): "image-to-text",
}
_NETWORKS = {  # pattern of presets -> architecture; other presets are recurrent
    "*_autoencoder": "sequence autoencoder",
    "*_seq2seq*": "recurrent encoder-decoder",
    "cnn_*": "convolutional recurrent network",
    "cnn": "convolutional network",
    "fully_connected": "fully connected network",
    "locally_connected": "locally connected network",
}
_SHARE_OF = {  # target -> what `accuracy` counts
    "class": "right classes",
    "multi_label": "rows with exactly the right labels",
    "numbers": "rows with every number within {:g}",
    "step_class": "steps with the right class",
    "next_symbol": "right next symbols",
    "sequence": "generated targets without an error",
    "number": "numbers within {:g}",
    "inputs": "sequences with a mean squared error within {:g}",
}
_MOST_NAMED = 40  # symbols or classes; beyond it only their number is given


_TESTS = {  # of `models.conformance`, in their order -> what they measure
    "causal": "a state does not depend on later steps",
    "right_padding": "padding on the right does not matter",
    "left_padding": "padding on the left does not matter",
    "batch": "other rows of a batch do not matter",
    "cached": "steps one by one with the carried state equal all at once",
    "chunked": "two segments with the carried state equal the whole sequence",
    "saved": "a saved and loaded copy is equal",
    "finite_gradients": "gradients are finite",
}


def conformance_rows(conformance: Conformance) -> list[tuple[str, str, str]]:
    """Return what was tested about a wrapped model, the difference that was measured, and the result."""
    rows = []
    for name, meaning in _TESTS.items():
        value = conformance.get(name)
        result = "passed" if name in conformance["passed"] else "**failed**" if name in conformance["failed"] else "–"
        rows.append((meaning, "no state" if value is None else "" if isinstance(value, bool) else f"{value:g}", result))
    return rows


def has_own_code(record: RunRecord) -> bool:
    """Return whether a model runs code that is neither of seqhub nor of transformers."""
    model = ModelId(record.model)
    return model.is_wrapped and model.scheme not in ("transformers", "hub", "fla")


def hub_task(schema: TaskSchema) -> str:
    """Return the Hub's task category, as in `pipeline_tag`."""
    return _TAGS[schema.vocabulary is not None, schema.target]


def network(preset: str) -> str:
    """Return the architecture of a preset; of other models it is not known.

    >>> network("lstm"), network("cnn_gru"), network("transformers:mamba")
    ('recurrent network', 'convolutional recurrent network', 'model')
    """
    if ModelId(preset).is_wrapped:
        return "model"
    return next((name for pattern, name in _NETWORKS.items() if fnmatch(preset, pattern)), "recurrent network")


def steps(config: TaskConfig) -> str:
    """Return the length of sequences: `100 to 110`, or one number."""
    low, high = config.length
    return f"{low} to {high}" if low != high else str(low)


def step_noun(schema: TaskSchema) -> str:
    """Return the noun for the steps of a sequence."""
    if schema.vocabulary is None:
        values = schema.num_features
        return f"steps of {values} value{'s' if values > 1 else ''}"
    if schema.has_tokenizer:
        return "tokens"
    return "words" if schema.vocabulary.separator else "symbols"


def target_noun(schema: TaskSchema) -> str:
    """Return the noun for the symbols of a target that is a sequence."""
    return "words" if schema.target_vocabulary is not None and schema.target_vocabulary.separator else "symbols"


def learnt(schema: TaskSchema) -> str:
    """Return the target of a task, as a phrase that follows the length of the sequences."""
    named = names(schema.labels)
    return {
        "class": f"classes {named}",
        "multi_label": f"any number of the labels {named}",
        "numbers": f"{len(schema.numbers)} numbers for each sequence, {names(schema.numbers)}",
        "step_class": f"a class at each step, {named}",
        "next_symbol": "the next symbol at each step",
        "sequence": f"targets of up to {schema.max_target} {target_noun(schema)}",
        "number": "one number for each sequence",
        "inputs": "to be reconstructed from one vector",
    }[schema.target]


def names(values: Any, separator: str = ", ") -> str:
    """Return names joined by a separator; of very many, only their number."""
    return separator.join(values) if len(values) <= _MOST_NAMED else f"{len(values)} in total"


def inputs_are(task: Task[Any], schemas: Mapping[str, TaskSchema]) -> str:
    """Describe the inputs and targets of the configs of a task in a few sentences.

    Args:
        task: The task.
        schemas: Config -> schema; all have texts, or all have real values.
    """
    schema = next(iter(schemas.values()))
    if schema.vocabulary is not None:
        symbols = [repr(symbol) if symbol.isspace() else symbol for symbol in schema.vocabulary.symbols]
        inputs = f"Vocabulary: {names(symbols, ' ')}."
    else:
        sizes = {name: each.num_features for name, each in schemas.items()}
        shared = len(set(sizes.values())) == 1
        each = str(schema.num_features) if shared else ", ".join(f"{size} in `{name}`" for name, size in sizes.items())
        inputs = f"Real values at each step: {each}."
    targets: dict[str, list[str]] = {}
    for name, own in schemas.items():
        targets.setdefault(_target_is(own), []).append(name)
    if len(targets) == 1:
        return f"{inputs} {next(iter(targets))}."
    return " ".join([inputs, *(f"In {_quoted(configs)}: {target}." for target, configs in targets.items())])


def _target_is(schema: TaskSchema) -> str:
    if schema.target == "multi_label":
        return f"Labels, any number for each sequence: {names(schema.labels)}"
    if schema.target == "numbers":
        return f"The targets are {len(schema.numbers)} numbers: {names(schema.numbers)}"
    if schema.target == "number":
        return f"The target is one number; an answer within {schema.tolerance:g} of it counts as right"
    if schema.target == "inputs":
        return f"The target is the sequence itself; a mean squared error within {schema.tolerance:g} counts as right"
    if schema.target == "next_symbol":
        return "The target at each step is the next symbol"
    if schema.target_vocabulary is not None:
        described = f"The target is a text of up to {schema.max_target} {target_noun(schema)}"
        if schema.vocabulary is not None:
            return f"{described} of the same vocabulary"
        return f"{described}: {names(schema.target_vocabulary.symbols, ' ')}"
    classes = "Classes" if schema.target == "class" else "Classes of each step"
    return f"{classes}: {names(schema.labels)}"


def _quoted(configs: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in configs)


def chance_is(chance: float | None) -> str:
    """Return the end of a sentence on accuracy; empty if there is no chance level."""
    return "" if chance is None else f"; chance level is {share(chance)}"


def headline(schema: TaskSchema, metrics: Mapping[str, Any], split: str, seen: bool, chance: float | None) -> str:
    """Return the main result as one sentence.

    Args:
        schema: Schema of the config.
        metrics: Metrics of one split.
        split: Name of the split.
        seen: Whether its sequences are training rows too.
        chance: Chance level of the config.
    """
    unseen = "" if seen else "unseen "
    sequences = f"{count(metrics['examples'])} {unseen}{split} sequences"
    if schema.target == "class":
        sentence = f"Its accuracy on {sequences} is **{share(metrics['accuracy'])}**"
    elif schema.target == "multi_label":
        exact = f"for **{share(metrics['accuracy'])}** of them the labels are exactly right"
        sentence = f"Its micro F1 on {sequences} is **{share(metrics['micro_f1'])}**; {exact}"
    elif schema.target == "sequence":
        sentence = f"For **{share(metrics['accuracy'])}** of {sequences} it generates exactly the target"
    elif by_step(schema):
        what = "steps" if schema.labels else "next symbols"
        accuracy = f"the accuracy is **{share(metrics['accuracy'])}**"
        sentence = f"On the {count(metrics['steps'])} {what} of {sequences}, {accuracy}"
    else:
        within = "have a mean squared error within" if schema.target == "inputs" else "are within"
        whole = f"the mean squared error of all is **{metrics['mse']:.3g}**"
        tolerance = f"{schema.tolerance:g}" if schema.target == "inputs" else f"{schema.tolerance:g} of the target"
        tolerance += "s with all numbers" if schema.numbers else ""
        sentence = f"Of {sequences}, the share **{share(metrics['accuracy'])}** {within} {tolerance}; {whole}"
        sentence = sentence.replace("are within", "is within").replace("have a mean", "has a mean")
    return f"{sentence}{chance_is(chance)}." + (" These are the rows that it was trained on." if seen else "")


def st3_is(schema: TaskSchema, task: Task[Any]) -> str:
    """Return the meaning of the criterion `st3`."""
    source = "the paper" if task.paper_sequences else "Hochreiter & Schmidhuber (1997)"
    output = "output" if schema.tolerance else "class probability"
    return (
        f"the stopping criterion of {source}: on the 2,000 most recent training sequences every {output} was within "
        "0.3 of its target, and their average error was below 0.1"
    )


def paper_is(schema: TaskSchema, stopping_rule: StoppingRule) -> str:
    """Return the meaning of the criterion `paper`."""
    output = "output" if schema.tolerance else "class probability" if schema.labels else "probability of a next symbol"
    which = "all" if not stopping_rule.wrong else f"all but at most {stopping_rule.wrong}"
    right = f"had every {output} within {stopping_rule.tolerance:g} of its target"
    new = f"{count(stopping_rule.window)} newly generated sequences"
    recent = f"the {count(stopping_rule.window)} most recent training sequences"
    mean = "" if stopping_rule.mean_error is None else f", with an average error below {stopping_rule.mean_error:g}"
    meaning = {
        "legal": "at every step of all training and test sequences the outputs of the legal symbols were above all "
        "others",
        "streak": f"{count(stopping_rule.window)} training sequences in a row {right}; the count ends before them",
    }.get(stopping_rule.rule, f"of {new if stopping_rule.rule == 'st2' else recent}, {which} {right}{mean}")
    return f"the stopping criterion of the paper of the task (section {stopping_rule.section}): {meaning}"


def accuracy_is(schema: TaskSchema, fixed: bool) -> str:
    """Return the meaning of the criterion `accuracy`, for fixed or generated rows."""
    counted = _SHARE_OF[schema.target].format(schema.tolerance)
    return f"the share of {counted} on {'validation' if fixed else 'newly generated'} sequences"


def result_table(schema: TaskSchema, stopping_rule: StoppingRule | None) -> tuple[tuple[str, ...], str]:
    """Return the headings of the result table after the split name, and an explanation of them."""
    tolerance = f"{stopping_rule.tolerance if stopping_rule is not None and stopping_rule.tolerance else 0.3:g}"
    if schema.target == "class":
        absolute = f"ABS({tolerance}) wrong"
        heads: tuple[str, ...]
        heads = ("sequences", "accuracy", "95 % interval", "wrong", absolute, "loss (nats)", "data seed")
        return heads, (
            f"The interval is Wilson's; it covers the sampled sequences, not other seeds. *{absolute}* counts the "
            f"sequences with a class probability that is {tolerance} or more from its target, as Hochreiter & "
            "Schmidhuber (1997) do; *wrong* counts those whose most probable class is not the target."
        )
    if schema.target == "multi_label":
        heads = (
            "micro F1",
            "95 % interval",
            "macro F1",
            "exact match",
            "95 % interval",
            "right decisions",
            "loss (nats)",
        )
        return ("sequences", *heads, "data seed"), (
            "A label is predicted if its probability is above 1/2. *Micro F1* counts all decisions together, *macro "
            "F1* is the mean of the labels, *exact match* the share of the sequences whose predicted labels are "
            "exactly theirs, and *right decisions* the share among all labels of all sequences. The intervals are "
            "those of a ratio of sums over sequences, and Wilson's; they cover the sampled sequences, not other "
            "seeds."
        )
    if schema.target == "sequence":
        share_of = ("exact match", "95 % interval", "wrong", "token accuracy", "95 % interval", "edit distance")
        return ("sequences", *share_of, "95 % interval", "loss (nats)", "data seed"), (
            "*Exact match* is the share of the sequences whose greedy output is the target. *Token accuracy* is the "
            "mean share of the symbols of a target, and its end, that are the most probable ones after the right "
            "symbols before. *Edit distance* is the mean number of edits between greedy output and target, divided by "
            "the length of the longer one. The intervals are Wilson's; they cover the sampled sequences, not other "
            "seeds."
        )
    if by_step(schema):
        heads = ("sequences", "steps", "accuracy", "wrong steps", "whole sequences right", "loss (nats)", "data seed")
        meaning = (
            "Accuracy and loss are over all steps that have a target. The steps of a sequence depend on each other, so "
            "there is no interval."
        )
        if stopping_rule is None:
            return heads, meaning
        wrong = "an output further from its target than the paper's criterion allows"
        if stopping_rule.rule == "legal":
            wrong = "a step at which the output of an illegal symbol is above that of a legal one"
        return (*heads, "wrong by the paper"), f"{meaning} *Wrong by the paper* counts sequences with {wrong}."
    within = f"within {schema.tolerance:g}"
    last = "worst sequence" if schema.target == "inputs" else "mean absolute error"
    meaning = (
        f"answers that are at most {schema.tolerance:g} from the target{'s with all numbers' if schema.numbers else ''}"
        if schema.target != "inputs"
        else f"sequences with a mean squared error of at most {schema.tolerance:g}"
    )
    return ("sequences", within, "95 % interval", "wrong", "mean squared error", last, "data seed"), (
        f"*Within* is the share of {meaning}. The interval is Wilson's; it covers the sampled sequences, not other "
        "seeds."
    )


def result_row(schema: TaskSchema, stopping_rule: StoppingRule | None, metrics: Mapping[str, Any]) -> list[str]:
    """Return the cells under the headings of `result_table`."""
    accuracy, seed = share(metrics["accuracy"]), str(metrics["seed"])
    wrong = count(wrong_answers(metrics))
    if schema.target == "class":
        loss = f"{metrics['loss']:.3g}"
        return [count(metrics["examples"]), accuracy, interval(metrics), wrong, count(metrics["abs_wrong"]), loss, seed]
    if schema.target == "multi_label":
        return [
            *(count(metrics["examples"]), share(metrics["micro_f1"]), interval(metrics, "micro_interval")),
            *(share(metrics["macro_f1"]), accuracy, interval(metrics), share(metrics["label_accuracy"])),
            *(f"{metrics['loss']:.3g}", seed),
        ]
    if schema.target == "sequence":
        return [
            *(count(metrics["examples"]), accuracy, interval(metrics), wrong),
            *(share(metrics["token_accuracy"]), interval(metrics, "token_interval")),
            *(f"{metrics['edit_distance']:.3g}", interval(metrics, "edit_interval")),
            *(f"{metrics['loss']:.3g}", seed),
        ]
    if by_step(schema):
        whole, loss = count(metrics["whole"]), f"{metrics['loss']:.3g}"
        by_paper = [] if stopping_rule is None else [count(metrics["paper"]["wrong"]) if "paper" in metrics else "–"]
        return [count(metrics["examples"]), count(metrics["steps"]), accuracy, wrong, whole, loss, seed, *by_paper]
    last = metrics["worst_mse" if schema.target == "inputs" else "mean_absolute_error"]
    numbers = [f"{metrics['mse']:.3g}", f"{last:.3g}"]
    return [count(metrics["examples"]), accuracy, interval(metrics), wrong, *numbers, seed]


def level_heads(metrics: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the metrics of the table of configs that only newer records or some targets have, with their headings."""
    heads = {"scaled": "scaled score", "whole": "whole sequences right", "mean_prefix": "mean prefix right"}
    heads |= {"legal": "legal symbols", "token_accuracy": "token accuracy", "edit_distance": "edit distance"}
    return {name: head for name, head in heads.items() if any(name in each for each in metrics)}


def level_cell(name: str, metrics: Mapping[str, Any]) -> str:
    """Return the cell of a metric in the table of configs; a dash if it was not measured."""
    if name not in metrics:
        return "–"
    if name == "legal":
        return share(metrics["legal"]["accuracy"])
    return count(metrics[name]) if name == "whole" else f"{metrics[name]:.3f}"


def level_meaning(heads: Mapping[str, str]) -> str:
    """Return an explanation of the headings of `level_heads`."""
    meanings = {
        "scaled": "The scaled score is (accuracy - chance) / (1 - chance), with the chance level of each config, and 0 "
        "below it.",
        "mean_prefix": "*Mean prefix right* is the mean share of the steps of a sequence before its first wrong step.",
        "legal": "*Legal symbols* is the share of the steps whose most probable next symbol may follow.",
    }
    return " ".join(meaning for name, meaning in meanings.items() if name in heads)


def prefixes(levels: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the table of right prefixes: numbers of steps, and for each config the share of the sequences.

    Sequences with fewer steps are not counted. The table is empty if no sequence has two steps with a class.
    """
    known = [(name, metrics["prefix"]) for name, metrics in levels if "prefix" in metrics]
    steps = sorted({k for _, prefix in known for k in prefix}, key=int)
    if len(steps) < 2:
        return [], []
    return steps, [
        (name, [share(part[k]["correct"] / part[k]["total"]) if k in part else "–" for k in steps])
        for name, part in known
    ]


def by_step(schema: TaskSchema) -> bool:
    """Return whether steps are counted; they depend on each other, so their accuracy has no interval."""
    return schema.target in ("step_class", "next_symbol")


def accuracy_head(schema: TaskSchema) -> str:
    """Return the heading of test accuracies."""
    if schema.target == "sequence":
        return "test exact match"
    if by_step(schema):
        return "test steps right"
    return f"test within {schema.tolerance:g}" if schema.tolerance else "test accuracy"


def interval(metrics: Mapping[str, Any], name: str = "interval") -> str:
    """Return the 95 % interval of an accuracy or another metric; a dash if there is none."""
    bounds = metrics.get(name)
    return f"{share(bounds[0])} to {share(bounds[1])}" if bounds else "–"


def wrong_answers(metrics: Mapping[str, Any]) -> int:
    """Return the number of wrong sequences, or of wrong steps where each step has a target."""
    total = int(metrics.get("steps", metrics["examples"]))
    return total - round(total * float(metrics["accuracy"]))


def measured(schema: TaskSchema) -> tuple[tuple[str, str], ...]:
    """Return the metrics in the metadata of a card: their keys and their display names."""
    if schema.tolerance:
        return ("accuracy", f"Share within {schema.tolerance:g}"), ("mse", "Mean squared error")
    if schema.target == "multi_label":
        f1 = ("micro_f1", "Micro F1"), ("macro_f1", "Macro F1")
        return *f1, ("accuracy", "Exact match"), ("loss", "Cross-entropy in nats")
    if schema.target == "sequence":
        token, edits = ("token_accuracy", "Token accuracy"), ("edit_distance", "Edit distance per symbol")
        return ("accuracy", "Exact match"), token, edits, ("loss", "Cross-entropy in nats")
    return ("accuracy", "Accuracy"), ("loss", "Cross-entropy in nats")


def counted(schema: TaskSchema, metrics: Mapping[str, Any]) -> str:
    """Return a phrase on the examples that an accuracy covers."""
    if "steps" in metrics:
        return f"{metrics['steps']} steps of {metrics['examples']} sequences"
    within = f", right within {schema.tolerance:g}," if schema.tolerance else ""
    return f"{metrics['examples']} sequences{within}"


def macro_is(metrics: Mapping[str, Any]) -> str:
    """Return a sentence on the mean F1 of the classes; empty without a confusion matrix."""
    return f" The mean F1 of the classes is {share(macro_f1(metrics['confusion']))}." if "confusion" in metrics else ""


def precision_and_f1(confusion: Sequence[Sequence[int]], number: int) -> tuple[str, str]:
    """Return precision and F1 of one class."""
    scores = class_scores_of(confusion)[number]
    return "–" if math.isnan(scores.precision) else share(scores.precision), share(scores.f1)


def label_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the table of labels: name, sequences with it, recall, precision and F1."""
    scores = label_scores_of(metrics["per_label"])
    rates = [["–" if math.isnan(value) else share(value) for value in each[1:]] for each in scores]
    rows = zip(metrics["per_label"], scores, rates, strict=True)
    return [(name, count(each.rows), *rate) for name, each, rate in rows]


def number_rows(metrics: Mapping[str, Any], reading: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of the table of numbers: name, and in its unit mean absolute error, interval, and R2."""
    rows: list[tuple[str, ...]] = []
    for (name, each), unit in zip(metrics["per_number"].items(), reading["target_deviation"], strict=True):
        error, low, high = (f"{value * unit:.4g}" for value in (each["mean_absolute_error"], *each["interval"]))
        rows.append((name, error, f"{low} to {high}", f"{each['r2']:.3f}"))
    return rows


def best_is(record: RunRecord) -> str:
    """Return a sentence on the saved weights of a run with patience."""
    if record.best is None:
        return ""
    loss, sequences = record.best["loss"], int(record.best["sequences"])
    return f" The weights are those with the lowest validation loss, {loss:.4g}, after {count(sequences)} sequences."


def unit_is(reading: Mapping[str, Any]) -> str:
    """Return a sentence on the unit of errors, for numbers in standard deviations."""
    if "target_deviation" not in reading:
        return ""
    if "numbers" in reading:
        return " Errors of several numbers are in standard deviations of the training targets, unless a unit is given."
    return (
        " Other errors on this card are in standard deviations of the training targets, "
        f"{reading['target_deviation']:.4g}; their mean is {reading['target_mean']:.4g}."
    )


def reading_is(record: RunRecord) -> str:
    """Return sentences on the file of a run: its columns, and how its rows were assigned to splits."""
    reading, options, found = (record.data.get("reading", {}), record.training.get("data_options", {}),
                               record.data.get("found", {}))  # fmt: skip
    named = names([span(name) for name in reading["inputs"]])
    target = reading.get("target", [])
    target = [target] if isinstance(target, str) else target
    verb = "are" if len(target) > 1 else "is"
    named_targets = names([span(name) for name in target])
    target = f", the target{'s' if len(target) > 1 else ''} {verb} {named_targets}" if target else ""
    sentences = [f"The rows come from a file, which is not published with the model. The inputs are {named}{target}."]
    features = reading.get("features")
    if features is None:
        tokens = f"the tokens of the tokenizer {span(reading['tokenizer'])}" if "tokenizer" in reading else ""
        sentences.append(f"The symbols of a text are {tokens or reading['tokens']}.")
    else:
        filled = {
            "refuse": "no value is missing",
            "mask": "missing values are replaced by the mean, with one more channel that marks them",
            "last": "missing values are replaced by the value before",
            "mean": "missing values are replaced by the mean",
            "zero": "missing values are replaced by 0",
        }[features["missing"]]
        scaled = {
            "standard": "to mean 0 and standard deviation 1 of the training rows",
            "robust": "to median 0 and interquartile range 1 of the training rows",
            "none": "not at all",
        }[features["scale"]]
        sentences.append(f"Channels are scaled {scaled}; {filled}.")
    if "truncated" in found:
        sentences.append(
            f"{count(found['truncated'])} sequences were cut off after {count(reading['max_length'])} steps."
        )
    if options.get("time"):
        rule = (
            f"The rows are ordered by {span(options['time'])}: the earliest are for training, the latest for the test."
        )
    elif options.get("group"):
        rule = f"Rows with equal {span(options['group'])} belong to the same split, chosen by a hash."
    else:
        rule = "Each row belongs to the split that it names, or otherwise to one chosen by a hash of its content."
    repeated = {split: number for split, number in found.get("repeated", {}).items() if number}
    if repeated:
        shown = " and ".join(f"{count(number)} of `{split}`" for split, number in repeated.items())
        rule += f" Of the sequences, {shown} also occur in the training rows."
    return " ".join([*sentences, rule])


def column_rows(record: RunRecord) -> list[tuple[str, str, list[str]]]:
    """Return name, role and examples of each column of a file that a run used."""
    reading, options = record.data.get("reading", {}), record.training.get("data_options", {})
    target = reading.get("target", [])
    roles = {name: "input" for name in reading.get("inputs", ())}
    roles |= dict.fromkeys([target] if isinstance(target, str) else target, "target")
    roles |= {options.get("group"): "group of the split", options.get("time"): "order of the splits"}
    examples = record.data.get("found", {}).get("examples", {})
    return [(name, roles.get(name, "split"), values) for name, values in examples.items()]


def class_balance(record: RunRecord) -> list[tuple[str, list[str]]]:
    """Return each class with its number and share in each split, in the order of `balance_splits`."""
    counts = _class_counts(record)
    totals = {split: max(1, sum(each.values())) for split, each in counts.items()}
    names = next(iter(counts.values()), {})
    return [
        (
            name,
            [f"{count(each.get(name, 0))} ({each.get(name, 0) / totals[split]:.1%})" for split, each in counts.items()],
        )
        for name in names
    ]


def balance_splits(record: RunRecord) -> list[str]:
    """Return the splits whose classes were counted."""
    return list(_class_counts(record))


def _class_counts(record: RunRecord) -> dict[str, dict[str, int]]:
    if record.schema.target == "multi_label":  # the labels have no shares of one whole; see `statistics_are`
        return {}
    counts = {"train": dict(record.data.get("statistics", {}).get("classes", {}))}
    for split in ("validation", "test"):
        if "per_class" in record.evaluation.get(split, {}):
            counts[split] = {name: part["total"] for name, part in record.evaluation[split]["per_class"].items()}
    return counts if counts["train"] else {}


def base_is(record: RunRecord) -> str:
    """Return a sentence on the model from which a run started; empty for new weights."""
    base = record.base_model
    if base is None:
        return ""
    new = "its outputs are new" if base["new"] else "its outputs are those of the base model"
    frozen = f", and {count(len(base['frozen']))} of its parameters were not trained" if base["frozen"] else ""
    return f" It was fine-tuned from {span(base['name'])}: {new}{frozen}."


def statistics_are(record: RunRecord) -> list[str]:
    """Return sentences on the statistics of the training rows."""
    known = record.data.get("statistics", {})
    rows = f"{count(known['rows'])} training rows" if known else ""
    sentences = []
    if "unknown" in known:
        shares = ", ".join(f"{share(value)} in {split}" for split, value in known["unknown"].items())
        sentences.append(f"Share of words that are not in the vocabulary: {shares}.")
    if "classes" in known:
        named = ", ".join(f"{span(name)} {count(number)}" for name, number in known["classes"].items())
    labels = "majority" not in known  # of which a row has any number
    if "classes" in known and (labels or not record.data.get("reading")):  # otherwise in a table, see `class_balance`
        sentences.append(f"Targets of {rows}, by {'label' if labels else 'class'}: {named}.")
    if "majority" in known:
        shares = ", ".join(f"{share(v)} in {split}" for split, v in known["majority"].items() if split != "target")
        target = span(known["majority"]["target"])
        sentences.append(f"Accuracy of always predicting {target}, the most frequent target: {shares}.")
    if "numbers" in known and "target_mean" not in record.data.get("reading", {}):
        mean, deviation = (f"{known['numbers'][name]:.3g}" for name in ("mean", "deviation"))
        sentences.append(f"Targets of {rows}: mean {mean}, standard deviation {deviation}.")
    return sentences


def single_logit(record: RunRecord) -> bool:
    """Return whether a run has one logit for two classes."""
    return bool(record.training.get("single_logit"))
