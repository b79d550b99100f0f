"""Creates a new resource as a renamed copy of items/ and its tests, and wires it in.

items/ itself is the template, so a new resource is as good as the one that the tests prove.
"""

import importlib.util
import keyword
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

# Django refuses longer names of indexes, because some databases do.
INDEX_NAME_MAX_LENGTH = 30
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_WORD = re.compile(r"(?<![a-zA-Z])(items|item|Items|Item|ITEMS|ITEM)(?![a-z])")
_ARTICLE = re.compile(r"(?<![a-zA-Z])([Aa])n([ _])(?=[Ii]tem(?![a-z]))")
_INDEX_NAME = re.compile(r"(?<=[\"'])item(_\w+)(?=[\"'])")
_DOCSTRING_OR_COMMENT = re.compile(r'""".*?"""|#[^\n]*', re.DOTALL)
# Also a word of the template, but the method of a dictionary.
_DICT_ITEMS = ".items()"


class ScaffoldError(Exception):
    """A reason why the resource cannot be created, for the developer."""


class Names(NamedTuple):
    """The names of a resource as identifiers: `purchase_orders` and `purchase_order`."""

    plural: str
    singular: str

    def words(self) -> dict[str, str]:
        """Return the replacement of each word of the template."""
        return {
            "items": self.plural,
            "item": self.singular,
            "Items": _camel(self.plural),
            "Item": _camel(self.singular),
            "ITEMS": self.plural.upper(),
            "ITEM": self.singular.upper(),
        }


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def names_of(name: str, *, singular: str = "") -> Names:
    """Return both forms of a resource's name, given in either form.

    `singular` overrides the guess for irregular plurals. Raises ScaffoldError for a name that cannot be a package.
    """
    if singular:
        names = Names(name, singular)
    elif name.endswith("s") and not name.endswith("ss"):
        names = Names(name, _singular_of(name))
    else:
        names = Names(_plural_of(name), name)
    for text in names:
        if not _NAME.fullmatch(text) or keyword.iskeyword(text):
            raise ScaffoldError(
                f"{text!r} cannot be the name of a package. Use lower-case words joined by underscores."
            )
    if names.plural == names.singular:
        raise ScaffoldError(f"{name!r} needs different names for one and for many: add --singular.")
    if importlib.util.find_spec(names.plural):
        raise ScaffoldError(f"{names.plural!r} is taken: a package of this name exists. Choose another name.")
    return names


def _singular_of(plural: str) -> str:
    if plural.endswith("ies"):
        return f"{plural[:-3]}y"
    return plural[:-2] if plural.endswith(("sses", "xes", "ches", "shes")) else plural[:-1]


def _plural_of(singular: str) -> str:
    if singular.endswith("y") and singular[-2:-1] not in "aeiou":
        return f"{singular[:-1]}ies"
    return f"{singular}es" if singular.endswith(("ss", "x", "ch", "sh")) else f"{singular}s"


def create(root: Path, names: Names) -> list[str]:
    """Create the package and its tests, wire them in, and return a line for each thing done.

    Raises ScaffoldError if the project lacks a file that has to change.
    """
    for path in ("items", "tests/items", "pyproject.toml", "agent_router/api.py", ".dockerignore"):
        if not (root / path).exists():
            raise ScaffoldError(f"{root / path} is missing. Run this in a checkout of the project.")
    done = [
        _copy(root, "items", names.plural, names),
        _copy(root, "tests/items", f"tests/{names.plural}", names),
        *_wire(root, names),
    ]
    _tidy_imports(root, names)
    return done


def _copy(root: Path, source: str, target: str, names: Names) -> str:
    count = 0
    for path in sorted((root / source).rglob("*.py")):
        relative = _rename(str(path.relative_to(root / source)), names)
        copy = root / target / relative
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_rename(path.read_text(encoding="utf-8"), names), encoding="utf-8")
        count += 1
    return f"created {target}/ with {count} files, from {source}/"


def _rename(text: str, names: Names) -> str:
    """Return a text of the template about the new resource."""
    text = text.replace('tag("Items"', f'tag("{names.plural.replace("_", " ").capitalize()}"')
    article = "n" if names.singular[0] in "aeiou" else ""
    text = _ARTICLE.sub(rf"\g<1>{article}\g<2>", text)
    text = _INDEX_NAME.sub(partial(_index_name, names), text)
    words = names.words()
    text = _DICT_ITEMS.join(_WORD.sub(partial(_word, words), part) for part in text.split(_DICT_ITEMS))
    return _DOCSTRING_OR_COMMENT.sub(partial(_as_prose, names), text) if "_" in names.plural else text


def _word(words: dict[str, str], found: re.Match[str]) -> str:
    return words[found[0]]


def _index_name(names: Names, found: re.Match[str]) -> str:
    return names.singular[: INDEX_NAME_MAX_LENGTH - len(found[1])].rstrip("_") + found[1]


def _as_prose(names: Names, found: re.Match[str]) -> str:
    """Write `purchase_orders` as "purchase orders" where the word stands alone."""
    alone = rf"(?<![\w./`-])({names.plural}|{names.singular})(?![\w/(`]|\.\w)"
    text = re.sub(rf"\b{_camel(names.plural)}\b", names.plural.capitalize(), found[0])
    return re.sub(alone, _with_spaces, text, flags=re.IGNORECASE)


def _with_spaces(found: re.Match[str]) -> str:
    return found[0].replace("_", " ")


def _wire(root: Path, names: Names) -> list[str]:
    plural = names.plural
    pyproject = root / "pyproject.toml"
    _insert(root / "agent_router/settings.py", '    "items",\n', f'    "{plural}",\n')
    api = root / "agent_router/api.py"
    _insert(api, "from items.api import router as items\n", f"from {plural}.api import router as {plural}\n")
    _insert(api, 'api.add_router("/v1/items", items)\n', f'api.add_router("/v1/{plural}", {plural})\n')
    _insert(root / ".dockerignore", "!items/\n", f"!{plural}/\n")
    for before, after in (
        ('known-first-party = ["agent_router", "benchmarks", "core", "items",', f' "{plural}",'),
        ('root_packages = ["agent_router", "items",', f' "{plural}",'),
        ('layers = ["agent_router", "items', f" | {plural}"),
        ('ancestors = ["core", "items"', f', "{plural}"'),
        ('source = ["agent_router", "core", "items"', f', "{plural}"'),
    ):
        _insert(pyproject, before, after)
    _insert(root / "tests/security/test_authorization.py", 'RESOURCES = ["items"', f', "{plural}"')
    return [
        f'added "{plural}" to INSTALLED_APPS in agent_router/settings.py',
        f"mounted /v1/{plural} in agent_router/api.py",
        "added the package to the checks in pyproject.toml, to .dockerignore and to the authorization tests",
    ]


def _insert(path: Path, before: str, text: str) -> None:
    """Insert a text behind the only place where `before` stands."""
    content = path.read_text(encoding="utf-8")
    if content.count(before) != 1:
        raise ScaffoldError(f"{path} should contain once: {before.strip()}")
    path.write_text(content.replace(before, before + text), encoding="utf-8")


def _tidy_imports(root: Path, names: Names) -> None:
    """Sort the imports and format the lines, which the new names have changed."""
    if not importlib.util.find_spec("ruff"):
        return
    paths = [names.plural, f"tests/{names.plural}", "agent_router/api.py"]
    for command in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *paths], cwd=root, check=True)  # noqa: S603
