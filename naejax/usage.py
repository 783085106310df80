"""What is wrong with a command line, in one line: tyro's boxed messages put shortly."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from naejax.data.cells import quoted, unknown_name

_BOXES = re.compile("[\u2500-\u257f]+")
_WORDS = {
    int: "a whole number",
    float: "a number",
    str: "a word",
    tuple[int, ...]: "whole numbers",
    tuple[str, ...]: "words",
    tuple[int, int]: "two whole numbers",
    tuple[tuple[str, int], ...]: "names, each with 1 or -1",
    dict[str, float]: "names, each with a number",
}


def one_line(message: str) -> str:
    """A message without line breaks, ruled lines and boxes.

    Args:
        message: any text.

    Returns:
        The line.

    Example:
        >>> one_line("- Bad -\\nno a\\n---")
        '- Bad - no a'
    """
    lines = (_BOXES.sub(" ", line).strip() for line in message.splitlines())
    return " ".join(" ".join(x.split()) for x in lines if x.strip("-"))


def usage_error(
    message: str, arguments: Sequence[str], commands: Mapping[str, type]
) -> str:
    """Says in one line what is wrong with a command line.

    Args:
        message: what tyro prints.
        arguments: the words of the command line.
        commands: the dataclass of every command by its name.

    Returns:
        The line; what tyro says where this function knows nothing shorter.

    Example:
        >>> from naejax.commands import Train
        >>> usage_error("...", ["train", "--epoks", "3"], {"train": Train})
        'no option --epoks; did you mean --epochs? See naejax train --help'
    """
    name = arguments[0] if arguments else ""
    if name not in commands:
        if not name or name.startswith("-"):
            what = f"{name} comes after a command" if name else "no command given"
            return f"{what}; there are: {', '.join(commands)}"
        return unknown_name(f"no command {name!r}", name, commands)
    text, options = one_line(message), _options(commands[name])
    see = f"See naejax {name} --help"
    unknown = [word for word in map(_option, arguments[1:]) if word not in options]
    if unknown := [word for word in dict.fromkeys(unknown) if word]:
        told = [_nearest(word, options) for word in unknown]
        return f"no option {' No option '.join(told)} {see}"
    if missing := _missing(message):
        return f"naejax {name} needs {', '.join(missing)}. {see}"
    if found := re.search(r"Missing value for argument '(--[\w-]+)", text):
        return (
            f"{found[1]} lacks its value, expected {_expected(options.get(found[1]))}"
        )
    if found := re.search(r"invalid choice '(.*)' for argument '(--[\w-]+)", text):
        choices = get_args(options.get(found[2]))
        return unknown_name(f"{found[2]} is {quoted(found[1])}", found[1], choices)
    if found := re.search(r"Error parsing (--[\w-]+):", text):
        given = quoted(" ".join(_values(found[1], arguments)))
        return f"{found[1]} is {given}, expected {_expected(options.get(found[1]))}"
    if found := re.search(r"Unrecognized options: (.+) For full helptext", text):
        words = found[1].rpartition("options: ")[2].split(", ")
        what = ", ".join(map(quoted, words))
        belong = "belongs" if len(words) == 1 else "belong"
        return f"{what} {belong} to no option; quote what has spaces. {see}"
    return text


def _options(command: type) -> dict[str, Any]:
    """The type of every option of a command, without None."""
    options: dict[str, Any] = {"--help": bool}
    hints = get_type_hints(command)
    for field in fields(command):
        hint = hints[field.name]
        if is_dataclass(hint) and isinstance(hint, type):
            options |= _options(hint)
            continue
        flag = field.name.replace("_", "-")
        options[f"--{flag}"] = _plain(hint)
        if _plain(hint) is bool:
            options[f"--no-{flag}"] = bool
    return options


def _plain(hint: Any) -> Any:
    """A type without notes and without None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    kinds = get_args(hint)
    if NoneType in kinds:
        (hint,) = (kind for kind in kinds if kind is not NoneType)
    return hint


def _option(word: str) -> str:
    """The name of an option as help writes it; empty where a word is none."""
    if not re.match("--[A-Za-z]", word):
        return "--help"
    return word.partition("=")[0].replace("_", "-")


def _nearest(word: str, options: Mapping[str, Any]) -> str:
    """An unknown option and the one that was meant, if that can be guessed."""
    names = [option.removeprefix("--") for option in options]
    initials = ["".join(part[0] for part in name.split("-")) for name in names]
    given = word.removeprefix("--")
    meant = [n for n, short in zip(names, initials, strict=True) if short == given]
    meant += difflib.get_close_matches(given, names, n=1)
    return f"{word}; did you mean --{meant[0]}?" if meant else f"{word}."


def _missing(message: str) -> list[str]:
    """Names of what a command lacks, each on a line of its own in the message."""
    listed = message.partition("Missing from naejax")[2].splitlines()
    lines = [_BOXES.sub(" ", line).strip() for line in listed]
    found = (re.fullmatch(r"(--[\w-]+) [A-Z{|}\[\] .]+|RUN", line) for line in lines)
    return [match[1] or "the folder of a run" for match in found if match]


def _values(option: str, arguments: Sequence[str]) -> list[str]:
    """The words after an option, up to the next one."""
    values: list[str] = []
    is_its = False
    for word in arguments:
        if re.match("--[A-Za-z]", word):
            is_its = _option(word) == option
            if is_its and "=" in word:
                values.append(word.partition("=")[2])
        elif is_its:
            values.append(word)
    return values


def _expected(hint: Any) -> str:
    """What an option takes, in words."""
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    return _WORDS.get(hint, "another value")
