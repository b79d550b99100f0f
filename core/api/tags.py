"""The groups of operations in the OpenAPI document."""


class Tag(str):
    """The name of a group of operations, with its description."""

    __slots__ = ("description",)

    description: str


def tag(name: str, description: str) -> Tag:
    """Return a tag for `Router(tags=[...])`. The document describes the tag if one of its operations has it."""
    described = Tag(name)
    described.description = description
    return described
