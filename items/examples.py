"""Examples for the OpenAPI document."""

NEW_ITEM = {"name": "Quarterly report", "description": "Draft for the board", "metadata": {"team": "research"}}
PATCH = {"status": "archived", "metadata": {"team": None, "reviewed": True}}
ITEM = {
    "id": "01980d2e-7c1a-7f3e-9c55-2b6f0d7e4a10",
    "name": "Quarterly report",
    "description": "Draft for the board",
    "status": "active",
    "metadata": {"team": "research"},
    "owner_id": "01980d2e-11b0-7a52-8f60-6a1f4c3b2d1e",
    "version": 1,
    "created_at": "2026-01-31T09:30:00.000000Z",
    "updated_at": "2026-01-31T09:30:00.000000Z",
}
PAGE = {"items": [ITEM], "next_cursor": None}
