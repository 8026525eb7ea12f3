"""The place that a card names in its code, a folder or a repository, and how a push names another one."""

import json
import re
import shlex

from seqhub.hub.client import Kind

_CALL = {  # where a card of seqhub names its own place first
    "model": re.compile(r'\.from_pretrained\(("(?:[^"\\\n]|\\.)*")'),
    "dataset": re.compile(r'\bload_dataset\(("(?:[^"\\\n]|\\.)*")'),
}


def literal(text: str) -> str:
    r"""A text as Python and JSON spell it, on one line.

    >>> print(literal('say "hi"\n'), literal("Ж\u2028"))
    "say \"hi\"\n" "Ж\u2028"
    """
    spelled = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else _escaped(each) for each in spelled)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"


def named_in(card: str, kind: Kind) -> str | None:
    """The folder or repository that the code on a card loads; None where it loads none.

    >>> named_in('model = AutoModel.from_pretrained("./run", trust_remote_code=True)', "model")
    './run'
    """
    found = _CALL[kind].search(card) if kind in _CALL else None
    return None if found is None else str(json.loads(found[1]))


def renamed(card: str, kind: Kind, repo_id: str) -> str:
    """A card whose code and commands name `repo_id` where they named the place of the card.

    Everything else is as it was, also what a person has written.

    >>> print(renamed('rows = load_dataset("./qrsu", "hard")', "dataset", "me/qrsu"))
    rows = load_dataset("me/qrsu", "hard")
    """
    before = named_in(card, kind)
    if before is None or before == repo_id:
        return card
    card = card.replace(literal(before), literal(repo_id))
    command = rf"^(seqhub verify ){re.escape(shlex.quote(before))}(?=\s|$)"
    return re.sub(command, lambda found: f"{found[1]}{repo_id}", card, flags=re.MULTILINE)
