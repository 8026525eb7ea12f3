"""The source that the code on a card loads (a folder or repository), and its replacement on a push."""

import json
import re
import shlex

from seqhub.hub.client import RepoType

_CALL = {  # first call on a card of seqhub that contains its source
    "model": re.compile(r'\.from_pretrained\(("(?:[^"\\\n]|\\.)*")'),
    "dataset": re.compile(r'\bload_dataset\(("(?:[^"\\\n]|\\.)*")'),
}


def literal(text: str) -> str:
    r"""Return text as a literal of both Python and JSON, on one line.

    >>> print(literal('say "hi"\n'), literal("Ж\u2028"))
    "say \"hi\"\n" "Ж\u2028"
    """
    spelled = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else _escaped(each) for each in spelled)


def _escaped(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number < 1 << 16 else f"\\U{number:08x}"


def named_in(card: str, repo_type: RepoType) -> str | None:
    """Return the folder or repository that the code on a card loads; None if it loads nothing.

    >>> named_in('model = AutoModel.from_pretrained("./run", trust_remote_code=True)', "model")
    './run'
    """
    found = _CALL[repo_type].search(card) if repo_type in _CALL else None
    return None if found is None else str(json.loads(found[1]))


def renamed(card: str, repo_type: RepoType, repo_id: str) -> str:
    """Return a card with `repo_id` in place of its current source, in code and commands.

    All other text is unchanged, including manual edits.

    >>> print(renamed('rows = load_dataset("./qrsu", "hard")', "dataset", "me/qrsu"))
    rows = load_dataset("me/qrsu", "hard")
    """
    before = named_in(card, repo_type)
    if before is None or before == repo_id:
        return card
    card = card.replace(literal(before), literal(repo_id))
    command = rf"^(seqhub verify ){re.escape(shlex.quote(before))}(?=\s|$)"
    return re.sub(command, lambda found: f"{found[1]}{repo_id}", card, flags=re.MULTILINE)
