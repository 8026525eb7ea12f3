"""What cards say differently of rows of different kinds: one function for each thing that is said."""

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

from seqhub.cards.rendering import count, share, span
from seqhub.records import RunRecord
from seqhub.tasks.base import Task
from seqhub.tasks.schema import StoppingRule, TaskConfig, TaskSchema

_TAGS = {  # whether the inputs are texts, target -> the Hub's name for it
    (True, "class"): "text-classification",
    (True, "number"): "text-classification",  # as the Hub has scores of texts
    (True, "step_class"): "token-classification",
    (True, "next_symbol"): "text-generation",
    (False, "class"): "tabular-classification",
    (False, "number"): "tabular-regression",
    (False, "step_class"): "tabular-classification",
    (False, "inputs"): "feature-extraction",
}
_NETWORKS = {  # presets -> what they are; others are recurrent
    "*_autoencoder": "sequence autoencoder",
    "cnn_*": "convolutional recurrent network",
    "cnn": "convolutional network",
    "fully_connected": "fully connected network",
    "locally_connected": "locally connected network",
}
_SHARE_OF = {  # target -> of what `accuracy` is the share
    "class": "right classes",
    "step_class": "steps with the right class",
    "next_symbol": "right next symbols",
    "number": "numbers within {:g}",
    "inputs": "sequences with a mean squared error within {:g}",
}
_MOST_NAMED = 40  # symbols or classes; of more, how many there are


def hub_task(schema: TaskSchema) -> str:
    """The Hub's name for what is to be done, as in `pipeline_tag`."""
    return _TAGS[schema.vocabulary is not None, schema.target]


def network(preset: str) -> str:
    """What kind of network a preset is.

    >>> network("lstm"), network("cnn_gru")
    ('recurrent network', 'convolutional recurrent network')
    """
    return next((name for pattern, name in _NETWORKS.items() if fnmatch(preset, pattern)), "recurrent network")


def steps(config: TaskConfig) -> str:
    """How long sequences are: `100 to 110`, or one number."""
    low, high = config.length
    return f"{low} to {high}" if low != high else str(low)


def step_noun(schema: TaskSchema) -> str:
    """What a sequence consists of."""
    if schema.vocabulary is None:
        values = schema.num_features
        return f"steps of {values} value{'s' if values > 1 else ''}"
    return "words" if schema.vocabulary.separator else "symbols"


def learnt(schema: TaskSchema) -> str:
    """What is to be learnt, to follow the length of the sequences."""
    named = names(schema.labels)
    return {
        "class": f"classes {named}",
        "step_class": f"a class at each step, {named}",
        "next_symbol": "the next symbol to be said at each",
        "number": "one number each",
        "inputs": "to be written out again from one vector",
    }[schema.target]


def names(given: Any, separator: str = ", ") -> str:
    """Names one after the other; of very many, how many."""
    return separator.join(given) if len(given) <= _MOST_NAMED else f"{len(given)} in all"


def inputs_are(task: Task[Any], schemas: Mapping[str, TaskSchema]) -> str:
    """What the inputs and targets of a task's configs are, in a few sentences.

    Args:
        task: Whose they are.
        schemas: Config -> layout; all have texts, or all real values.
    """
    schema = next(iter(schemas.values()))
    if schema.vocabulary is not None:
        kind = "Vocabulary" if schema.vocabulary.separator else "Alphabet"
        spoken = [repr(symbol) if symbol.isspace() else symbol for symbol in schema.vocabulary.symbols]
        said = f"{kind}: {names(spoken, ' ')}."
    else:
        sizes = {name: each.num_features for name, each in schemas.items()}
        shared = len(set(sizes.values())) == 1
        each = str(schema.num_features) if shared else ", ".join(f"{size} in `{name}`" for name, size in sizes.items())
        said = f"Real values at each step: {each}."
    targets: dict[str, list[str]] = {}
    for name, own in schemas.items():
        targets.setdefault(_target_is(own), []).append(name)
    if len(targets) == 1:
        return f"{said} {next(iter(targets))}."
    return " ".join([said, *(f"In {_quoted(configs)}: {target}." for target, configs in targets.items())])


def _target_is(schema: TaskSchema) -> str:
    if schema.target == "number":
        return f"The target is one number, right within {schema.tolerance:g}"
    if schema.target == "inputs":
        return f"The target is the sequence itself, right within a mean squared error of {schema.tolerance:g}"
    if schema.target == "next_symbol":
        return "The target at each step is the next symbol"
    classes = "Classes" if schema.target == "class" else "Classes of each step"
    return f"{classes}: {names(schema.labels)}"


def _quoted(configs: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in configs)


def chance_is(chance: float | None) -> str:
    """To end a sentence on accuracy with; nothing where there is no chance level."""
    return "" if chance is None else f"; chance level is {share(chance)}"


def headline(schema: TaskSchema, metrics: Mapping[str, Any], split: str, seen: bool, chance: float | None) -> str:
    """The result in one sentence.

    Args:
        schema: What was to be learnt.
        metrics: Of one split.
        split: Its name.
        seen: Whether its sequences stand in the training rows too.
        chance: Of the config.
    """
    unseen = "" if seen else "unseen "
    sequences = f"{count(metrics['examples'])} {unseen}{split} sequences"
    if schema.target == "class":
        said = f"Its accuracy on {sequences} is **{share(metrics['accuracy'])}**"
    elif by_step(schema):
        what = "steps" if schema.labels else "next symbols"
        right = f"the share **{share(metrics['accuracy'])}** is right"
        said = f"Of the {count(metrics['steps'])} {what} of {sequences}, {right}"
    else:
        within = "a mean squared error within" if schema.target == "inputs" else "within"
        whole = f"the mean squared error of all is **{metrics['mse']:.3g}**"
        said = f"The share **{share(metrics['accuracy'])}** of {sequences} is {within} {schema.tolerance:g}; {whole}"
        said = said.replace("is a mean", "has a mean")
    return f"{said}{chance_is(chance)}." + (" They are the rows it was trained on." if seen else "")


def st3_is(schema: TaskSchema, task: Task[Any]) -> str:
    """What the criterion `st3` means."""
    whose = "the paper" if task.paper_sequences else "Hochreiter & Schmidhuber (1997)"
    output = "output" if schema.tolerance else "class probability"
    return (
        f"the stopping rule of {whose}: on the 2,000 most recent training sequences every {output} was within 0.3 of "
        "its target, and their average error was below 0.1"
    )


def paper_is(schema: TaskSchema, stopping_rule: StoppingRule) -> str:
    """What the criterion `paper` means."""
    output = "output" if schema.tolerance else "class probability" if schema.labels else "probability of a next symbol"
    who = "all" if not stopping_rule.wrong else f"all but {stopping_rule.wrong} at most"
    right = f"had every {output} within {stopping_rule.tolerance:g} of its target"
    fresh = f"{count(stopping_rule.window)} fresh sequences"
    recent = f"the {count(stopping_rule.window)} most recent training sequences"
    mean = "" if stopping_rule.mean_error is None else f", with an average error below {stopping_rule.mean_error:g}"
    meaning = {
        "legal": "at every step of all training and test sequences the symbols that may follow were above all others",
        "streak": f"{count(stopping_rule.window)} training sequences in a row {right}; those before them are counted",
    }.get(stopping_rule.rule, f"of {fresh if stopping_rule.rule == 'st2' else recent} {who} {right}{mean}")
    return f"what the paper of the task calls a success (section {stopping_rule.section}): {meaning}"


def accuracy_is(schema: TaskSchema, given: bool) -> str:
    """What the criterion `accuracy` means, of rows that are given or drawn."""
    of = _SHARE_OF[schema.target].format(schema.tolerance)
    return f"the share of {of} on {'validation' if given else 'fresh'} sequences"


def result_table(schema: TaskSchema, stopping_rule: StoppingRule | None) -> tuple[tuple[str, ...], str]:
    """Headings of the results of one split, behind its name, and what they mean."""
    tolerance = f"{stopping_rule.tolerance if stopping_rule is not None and stopping_rule.tolerance else 0.3:g}"
    if schema.target == "class":
        absolute = f"ABS({tolerance}) wrong"
        heads: tuple[str, ...]
        heads = ("sequences", "accuracy", "95 % interval", "wrong", absolute, "loss (nats)", "data seed")
        return heads, (
            f"The interval is Wilson's, for the sequences drawn and not for other seeds. *{absolute}* counts the "
            f"sequences of which some class probability is {tolerance} or more from its target, the rule of Hochreiter "
            "& Schmidhuber (1997); *wrong* those whose likeliest class is not the right one."
        )
    if by_step(schema):
        heads = ("sequences", "steps", "accuracy", "wrong steps", "whole sequences right", "loss (nats)", "data seed")
        meaning = (
            "Accuracy and loss are over all steps that count. The steps of a sequence depend on each other, so there "
            "is no interval."
        )
        if stopping_rule is None:
            return heads, meaning
        wrong = "an output further off its target than its rule allows"
        if stopping_rule.rule == "legal":
            wrong = "a step where a symbol that may not follow is above one that may"
        return (*heads, "wrong by the paper"), f"{meaning} *Wrong by the paper* are sequences with {wrong}."
    within = f"within {schema.tolerance:g}"
    last = "mean absolute error" if schema.target == "number" else "worst sequence"
    meaning = (
        f"the numbers that are no further than {schema.tolerance:g} from the right ones"
        if schema.target == "number"
        else f"the sequences with a mean squared error of {schema.tolerance:g} or less"
    )
    return ("sequences", within, "95 % interval", "wrong", "mean squared error", last, "data seed"), (
        f"*Within* is the share of {meaning}. The interval is Wilson's, for the sequences drawn and not for other "
        "seeds."
    )


def result_row(schema: TaskSchema, stopping_rule: StoppingRule | None, metrics: Mapping[str, Any]) -> list[str]:
    """Cells under the headings of `result_table`."""
    accuracy, seed = share(metrics["accuracy"]), str(metrics["seed"])
    wrong = count(wrong_answers(metrics))
    if schema.target == "class":
        loss = f"{metrics['loss']:.3g}"
        return [count(metrics["examples"]), accuracy, interval(metrics), wrong, count(metrics["abs_wrong"]), loss, seed]
    if by_step(schema):
        whole, loss = count(metrics["whole"]), f"{metrics['loss']:.3g}"
        by_paper = [] if stopping_rule is None else [count(metrics["paper"]["wrong"]) if "paper" in metrics else "–"]
        return [count(metrics["examples"]), count(metrics["steps"]), accuracy, wrong, whole, loss, seed, *by_paper]
    last = metrics["mean_absolute_error" if schema.target == "number" else "worst_mse"]
    numbers = [f"{metrics['mse']:.3g}", f"{last:.3g}"]
    return [count(metrics["examples"]), accuracy, interval(metrics), wrong, *numbers, seed]


def by_step(schema: TaskSchema) -> bool:
    """Whether steps were counted, which depend on each other: then an accuracy has no interval."""
    return schema.target in ("step_class", "next_symbol")


def accuracy_head(schema: TaskSchema) -> str:
    """Heading of test accuracies."""
    if by_step(schema):
        return "test steps right"
    return f"test within {schema.tolerance:g}" if schema.tolerance else "test accuracy"


def interval(metrics: Mapping[str, Any]) -> str:
    """The 95 % interval of an accuracy; a dash where there is none."""
    bounds = metrics.get("interval")
    return f"{share(bounds[0])} to {share(bounds[1])}" if bounds else "–"


def wrong_answers(metrics: Mapping[str, Any]) -> int:
    """Sequences or, where each has a target, steps that are wrong."""
    total = int(metrics.get("steps", metrics["examples"]))
    return total - round(total * float(metrics["accuracy"]))


def measured(schema: TaskSchema) -> tuple[tuple[str, str], ...]:
    """Metrics for the metadata of a card: their keys, and their names for people."""
    if schema.tolerance:
        return ("accuracy", f"Share within {schema.tolerance:g}"), ("mse", "Mean squared error")
    return ("accuracy", "Accuracy"), ("loss", "Cross-entropy in nats")


def counted(schema: TaskSchema, metrics: Mapping[str, Any]) -> str:
    """What an accuracy was taken over."""
    if "steps" in metrics:
        return f"{metrics['steps']} steps of {metrics['examples']} sequences"
    within = f", right within {schema.tolerance:g}," if schema.tolerance else ""
    return f"{metrics['examples']} sequences{within}"


def statistics_are(record: RunRecord) -> list[str]:
    """Statistics of the training rows before the run, a sentence each."""
    known = record.data.get("statistics", {})
    looked_at = f"{count(known['rows'])} training rows" if known else ""
    said = []
    if "unknown" in known:
        shares = ", ".join(f"{share(value)} in {split}" for split, value in known["unknown"].items())
        said.append(f"Share of words that the model does not know: {shares}.")
    if "classes" in known:
        named = ", ".join(f"{span(name)} {count(number)}" for name, number in known["classes"].items())
        said.append(f"Targets of {looked_at}, by class: {named}.")
    if "majority" in known:
        shares = ", ".join(f"{share(v)} in {split}" for split, v in known["majority"].items() if split != "target")
        said.append(
            f"Always answering {span(known['majority']['target'])}, the most frequent target, is right: {shares}."
        )
    if "numbers" in known:
        mean, deviation = (f"{known['numbers'][name]:.3g}" for name in ("mean", "deviation"))
        said.append(f"Targets of {looked_at}: mean {mean}, standard deviation {deviation}.")
    return said


def single_logit(record: RunRecord) -> bool:
    """Whether a run has one logit for two classes."""
    return bool(record.training.get("single_logit"))
