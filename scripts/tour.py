"""The first requests that a newcomer makes: `make run` prints them, and README.md shows them."""

TOUR = r"""
URL={url}
JSON='Content-Type: application/json'
ACCOUNT='{"email": "me@example.com", "password": "correct-horse-42"}'

echo '1. Register (409 if the account exists):'
curl -sSw '\n' $URL/v1/auth/register -H "$JSON" -d "$ACCOUNT"

echo '2. Log in:'
LOGIN=$(curl -sS $URL/v1/auth/login -H "$JSON" -d "$ACCOUNT")
TOKEN=$(echo "$LOGIN" | sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
AUTH="Authorization: Bearer $TOKEN"
echo "$TOKEN"

echo '3. Create an item:'
ITEM=$(curl -sS $URL/v1/items/ -H "$AUTH" -H "$JSON" -d '{"name": "My first item"}')
ID=$(echo "$ITEM" | sed 's/.*"id": *"\([^"]*\)".*/\1/')
echo "$ITEM"

echo '4. Read the item:'
curl -sSw '\n' $URL/v1/items/$ID -H "$AUTH"

echo '5. List the newest items:'
curl -sSw '\n' "$URL/v1/items/?limit=2" -H "$AUTH"

echo '6. Archive the item, if nobody has changed it since version 1:'
curl -sSw '\n' -X PATCH $URL/v1/items/$ID -H "$AUTH" -H 'If-Match: "1"' \
  -H 'Content-Type: application/merge-patch+json' -d '{"status": "archived"}'

echo "7. Try every operation in a browser (Authorize takes the token above): $URL/docs"
"""


def tour(url: str) -> str:
    """Return shell commands that can be pasted repeatedly, for the service at `url`. They need curl and sed."""
    return TOUR.strip().replace("{url}", url)
