// A tour of the API with a client whose types are generated from /openapi.json. It compiles only if the document has
// these operations and types, and succeeds only if the service responds as documented.

import createClient from "openapi-fetch";

import type { components, paths } from "./api.js";

type Item = components["schemas"]["ItemOut"];
type Problem = components["schemas"]["Problem"];

declare const process: { env: Record<string, string | undefined> };

const baseUrl = process.env["BASE_URL"] ?? "http://127.0.0.1:8000";
const client = createClient<paths>({ baseUrl });
let token = "";
client.use({
  onRequest({ request }) {
    if (token) request.headers.set("Authorization", `Bearer ${token}`);
    return request;
  },
});

function check(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

/** Returns the data of a successful response. */
function data<T>(result: { data?: T | undefined; error?: unknown; response: Response }): NonNullable<T> {
  check(result.data, `${result.response.status} ${JSON.stringify(result.error)}`);
  return result.data;
}

function problem(result: { error?: Problem | undefined; response: Response }, status: number): Problem {
  check(result.response.status === status, `${result.response.status} in place of ${status}`);
  check(result.error && result.error.status === status, `no problem with ${status}`);
  return result.error;
}

const account = { email: `${crypto.randomUUID()}@example.org`, password: "Sturdy-horse-battery-9" };

async function logIn(): Promise<string> {
  data(await client.POST("/v1/auth/register", { body: account }));
  const tokens = data(await client.POST("/v1/auth/login", { body: account }));
  const renewed = data(await client.POST("/v1/auth/refresh", { body: { refresh_token: tokens.refresh_token } }));
  token = renewed.access_token;
  const me = data(await client.GET("/v1/auth/me"));
  check(me.email === account.email, "the account differs");
  return me.id;
}

async function useItems(owner: string): Promise<void> {
  const created = await client.POST("/v1/items/", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { name: "tour", description: "", status: "draft", metadata: { a: [1, null] } },
  });
  const item: Item = data(created);
  check(item.owner_id === owner && item.version === 1 && item.status === "draft", "the item differs from the request");
  const path = { id: item.id };
  const etag = created.response.headers.get("ETag") ?? "";
  const unchanged = await client.GET("/v1/items/{id}", { params: { path, header: { "If-None-Match": etag } } });
  check(unchanged.response.status === 304, "expected 304");
  const replaced = data(await client.PUT("/v1/items/{id}", { params: { path }, body: { name: "replaced" } }));
  check(replaced.status === "active" && replaced.version === 2, "PUT did not restore the defaults");
  const stale = { params: { path, header: { "If-Match": etag } }, body: { description: null } };
  problem(await client.PATCH("/v1/items/{id}", stale), 412);
  const patched = data(await client.PATCH("/v1/items/{id}", { params: { path }, body: { status: "archived" } }));
  check(patched.status === "archived" && patched.name === "replaced", "PATCH did not change the item");
}

async function listItems(): Promise<void> {
  for (let number = 0; number < 4; number += 1) data(await client.POST("/v1/items/", { body: { name: `n${number}` } }));
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const query = { limit: 2, sort: "name" as const, status: ["active" as const], total: true };
    const page: components["schemas"]["ItemPage"] = data(
      await client.GET("/v1/items/", { params: { query: cursor === null ? query : { ...query, cursor } } }),
    );
    check(page.total === 4, "total is not 4");
    seen.push(...page.items.map((item) => item.name));
    cursor = page.next_cursor;
  } while (cursor !== null);
  check(seen.join() === "n0,n1,n2,n3", `seen ${seen.join()}`);
  const refused = problem(await client.GET("/v1/items/", { params: { query: { cursor: "forged" } } }), 422);
  check(refused.errors?.[0]?.parameter === "cursor", "the problem names no parameter");
}

async function manageAccount(): Promise<void> {
  const key = data(await client.POST("/v1/auth/api-keys", { body: { name: "tour", scopes: ["items:read"] } }));
  const keys = data(await client.GET("/v1/auth/api-keys"));
  check(keys.api_keys[0]?.prefix === key.prefix && key.key.startsWith("ar_"), "the key is not listed");
  const gone = await client.DELETE("/v1/auth/api-keys/{id}", { params: { path: { id: key.id } } });
  check(gone.response.status === 204, "the key is not revoked");
  const sessions = data(await client.GET("/v1/auth/sessions"));
  check(sessions.sessions.some((session) => session.current), "no current session");
  problem(await client.POST("/v1/auth/login", { body: { ...account, password: "wrong" } }), 401);
  check((await client.POST("/v1/auth/logout")).response.status === 204, "not logged out");
  problem(await client.GET("/v1/auth/me"), 401);
  token = "";
}

async function readHealth(): Promise<void> {
  check(data(await client.GET("/health/live")).status === "live", "not live");
  const checks = data(await client.GET("/health/ready")).checks;
  check(checks["database"]?.status === "up", "the database is not up");
  const root = data(await client.GET("/"));
  check(typeof root === "object" && root.links["v1"] === "/v1", "the root has no link to v1");
  const explained = data(await client.GET("/problems/{slug}", { params: { path: { slug: "not-found" } } }));
  check(typeof explained === "object" && explained.status === 404, "the problem page is missing");
}

await useItems(await logIn());
await listItems();
await manageAccount();
await readHealth();
