"""Parser of the parameters `where` and `orderby`.

    where       = and { OR and }
    and         = not { AND not }
    not         = [ NOT ] not | "(" where ")" | predicate
    predicate   = column ( comparison value | IS [ NOT ] NULL | [ NOT ] IN "(" value { "," value } ")"
                | [ NOT ] ( LIKE | ILIKE ) string | [ NOT ] BETWEEN value AND value )
    column      = name { "." name }
    orderby     = column [ ASC | DESC ]

Names are in double quotes, strings in single quotes; a quote is doubled inside. Comparisons are = == != <> < <= > >=,
values are numbers, strings, true and false. Keywords are case-insensitive.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar

from seqhub.server.viewer.errors import ViewerError, invalid_parameter

Value = bool | int | float | str
Comparison = Literal["=", "!=", "<", "<=", ">", ">="]

MAX_LENGTH: Final = 4000  # characters of a parameter
MAX_PREDICATES: Final = 200
MAX_DEPTH: Final = 50

_TOKEN = re.compile(
    r"""\s*(?:(?P<name>"(?:[^"]|"")*")|(?P<string>'(?:[^']|'')*')
    |(?P<number>[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)|(?P<word>[A-Za-z_]\w*)
    |(?P<symbol><=|>=|!=|<>|==|[=<>().,])|(?P<end>$))""",
    re.VERBOSE,
)
_COMPARISONS: dict[str, Comparison] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_KEYWORDS = ("AND", "OR", "NOT", "IS", "NULL", "IN", "LIKE", "ILIKE", "BETWEEN", "TRUE", "FALSE", "ASC", "DESC")


class Column(NamedTuple):
    """Column, or field of a struct column."""

    names: tuple[str, ...]
    position: int  # of its first character, from 1


class Constant(NamedTuple):
    """Value in an expression."""

    value: Value
    position: int


@dataclass(frozen=True, slots=True)
class Compare:
    """Comparison of a column with a value."""

    column: Column
    operator: Comparison
    value: Constant


@dataclass(frozen=True, slots=True)
class IsNull:
    """Test for null."""

    column: Column


@dataclass(frozen=True, slots=True)
class IsIn:
    """Test for one of some values."""

    column: Column
    values: tuple[Constant, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """Test for a pattern, where % is any text and _ any character."""

    column: Column
    pattern: Constant
    ignore_case: bool


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class Combined:
    """Conjunction or disjunction."""

    operator: Literal["AND", "OR"]
    operands: tuple["Expression", ...]


Expression = Compare | IsNull | IsIn | Like | Not | Combined
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order:
    """Order of the rows."""

    column: Column
    descending: bool


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def parse_where(text: str) -> Expression:
    """Parse a filter.

    >>> parse_where('"label"=0').operator
    '='
    >>> parse_where('"label"=')
    Traceback (most recent call last):
    seqhub.server.viewer.errors.ViewerError: Parameter 'where', character 9: a value is missing at the end

    Raises:
        ViewerError: With the position of the first character that is wrong, from 1.
    """
    return _Parser("where", text).whole(lambda parser: parser.disjunction(0))


def parse_orderby(text: str) -> Order:
    """Parse an order.

    >>> parse_orderby('"score" DESC').descending
    True
    """
    return _Parser("orderby", text).whole(_Parser.order)


def columns_of(expression: Expression) -> list[Column]:
    """Return the columns of a filter."""
    if isinstance(expression, Not):
        return columns_of(expression.operand)
    if isinstance(expression, Combined):
        return [column for operand in expression.operands for column in columns_of(operand)]
    return [expression.column]


class _Parser:
    """Recursive-descent parser with one token of look-ahead."""

    def __init__(self, parameter: str, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise invalid_parameter(parameter, f"has {len(text)} characters; at most {MAX_LENGTH} are allowed")
        self._parameter = parameter
        self._tokens = self._split(text)
        self._at = 0
        self._predicates = 0

    def whole(self, parse: "Callable[[_Parser], T]") -> T:
        found = parse(self)
        if self._next.kind != "end":
            raise self._error(f"{self._next.text[:40]} was not expected")
        return found

    def disjunction(self, depth: int) -> Expression:
        return self._combined("OR", lambda: self._combined("AND", lambda: self._negation(depth)))

    def order(self) -> Order:
        column = self._column()
        descending = self._takes("DESC")
        if not descending:
            self._takes("ASC")
        return Order(column, descending)

    def _split(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        at = 0
        while not tokens or tokens[-1].kind != "end":
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                character = text[at]
                problem = "a quote is not closed" if character in "\"'" else f"{character} is not allowed"
                raise self._error_at(at + 1, problem)
            kind = found.lastgroup
            tokens.append(_Token(kind, found[kind], found.start(kind) + 1))
            at = found.end()
        return tokens

    def _combined(self, word: Literal["AND", "OR"], operand: "Callable[[], Expression]") -> Expression:
        operands = [operand()]
        while self._takes(word):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Combined(word, tuple(operands))

    def _negation(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep")
        if self._takes("NOT"):
            return Not(self._negation(depth + 1))
        if self._takes("("):
            found = self.disjunction(depth + 1)
            self._expect(")")
            return found
        return self._predicate()

    def _predicate(self) -> Expression:
        self._predicates += 1
        if self._predicates > MAX_PREDICATES:
            raise self._error(f"more than {MAX_PREDICATES} predicates")
        column = self._column()
        if self._next.kind == "symbol" and self._next.text in _COMPARISONS:
            operator = _COMPARISONS[self._advance().text]
            return Compare(column, operator, self._value())
        if self._takes("IS"):
            negated = self._takes("NOT")
            self._expect("NULL")
            return Not(IsNull(column)) if negated else IsNull(column)
        negated = self._takes("NOT")
        found = self._test(column)
        return Not(found) if negated else found

    def _test(self, column: Column) -> Expression:
        if self._takes("IN"):
            self._expect("(")
            values = [self._value()]
            while self._takes(","):
                values.append(self._value())
            self._expect(")")
            return IsIn(column, tuple(values))
        if self._takes("BETWEEN"):
            low = self._value()
            self._expect("AND")
            return Combined("AND", (Compare(column, ">=", low), Compare(column, "<=", self._value())))
        for word in ("LIKE", "ILIKE"):
            if self._takes(word):
                pattern = self._value()
                if not isinstance(pattern.value, str):
                    raise self._error_at(pattern.position, f"{word} needs a string in single quotes")
                return Like(column, pattern, word == "ILIKE")
        raise self._missing("a comparison (=, !=, <, <=, >, >=, IS NULL, IN, LIKE, ILIKE, BETWEEN)")

    def _column(self) -> Column:
        if self._next.kind != "name":
            raise self._missing('a column in double quotes, such as "label"')
        position = self._next.position
        names = [self._name()]
        while self._takes("."):
            if self._next.kind != "name":
                raise self._missing("a field in double quotes")
            names.append(self._name())
        return Column(tuple(names), position)

    def _name(self) -> str:
        return self._advance().text[1:-1].replace('""', '"')

    def _value(self) -> Constant:
        token = self._next
        word = token.text.upper()
        if token.kind == "word" and word == "NULL":
            raise self._error("a comparison with NULL is never true; use IS NULL")
        if token.kind not in ("string", "number") and word not in ("TRUE", "FALSE"):
            raise self._missing("a value")
        self._advance()
        if token.kind == "string":
            return Constant(token.text[1:-1].replace("''", "'"), token.position)
        if token.kind == "number":
            is_integer = re.fullmatch(r"[-+]?\d{1,19}", token.text)
            return Constant(int(token.text) if is_integer else float(token.text), token.position)
        return Constant(word == "TRUE", token.position)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _advance(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _takes(self, text: str) -> bool:
        token = self._next
        is_next = token.kind in ("word", "symbol") and token.text.upper() == text
        self._at += is_next
        return is_next

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._missing(text)

    def _missing(self, wanted: str) -> ViewerError:
        token = self._next
        if token.kind == "end":
            return self._error(f"{wanted} is missing at the end")
        hint = ""
        if token.kind == "word" and token.text.upper() not in _KEYWORDS:
            hint = "; names are in double quotes, strings in single quotes"
        return self._error(f"expected {wanted}, not {token.text[:40]}{hint}")

    def _error(self, problem: str) -> ViewerError:
        return self._error_at(self._next.position, problem)

    def _error_at(self, position: int, problem: str) -> ViewerError:
        return position_error(self._parameter, position, problem)


def position_error(parameter: str, position: int, problem: str) -> ViewerError:
    """Return the error at a character of a parameter, counted from 1."""
    return ViewerError(422, "InvalidParameterError", f"Parameter '{parameter}', character {position}: {problem}")
