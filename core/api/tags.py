"""The groups of operations, each described where its router is made: `Router(tags=[tag("Items", "…")])`."""

TAGS: dict[str, str] = {}


def tag(name: str, description: str) -> str:
    """Notes what a group of operations is about; returns the name."""
    TAGS[name] = description
    return name
