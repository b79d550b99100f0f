"""The files and links of an HTML page, and a parser of Content-Security-Policy."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The files that a page loads, its links, and its inline scripts, styles and handlers."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        source = given.get("src") or (given.get("href") if tag == "link" else None)
        if source:
            self.loads.append(source)
        elif tag in ("script", "style"):
            self.inline.append(tag)
        if tag == "a" and (target := given.get("href")):
            self.links.append(target)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]


def policy(header: str) -> dict[str, list[str]]:
    """Parse a Content-Security-Policy into its directives."""
    directives = (directive.split() for directive in header.split(";"))
    return {name: sources for name, *sources in directives}
