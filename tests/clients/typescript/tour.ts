// A tour of the API by a client whose types are generated from /openapi.json: it compiles only if the document has
// what it uses, and runs to its end only if the service answers as the document says.

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

function check(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** The data of an answer, which must be a success. */
function data<T>(answer: { data?: T | undefined; error?: unknown; response: Response }): NonNullable<T> {
  check(answer.data, `${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

function problem(answer: { error?: Problem | undefined; response: Response }, status: number): Problem {
  check(answer.response.status === status, `${answer.response.status} in place of ${status}`);
  check(answer.error && answer.error.status === status, `no problem with ${status}`);
  return answer.error;
}

const account = { email: `${crypto.randomUUID()}@example.org`, password: "Sturdy-horse-battery-9" };

async function logIn(): Promise<string> {
  data(await client.POST("/v1/auth/register", { body: account }));
  const tokens = data(await client.POST("/v1/auth/login", { body: account }));
  const renewed = data(await client.POST("/v1/auth/refresh", { body: { refresh_token: tokens.refresh_token } }));
  token = renewed.access_token;
  const me = data(await client.GET("/v1/auth/me"));
  check(me.email === account.email, "another account");
  return me.id;
}

async function useItems(owner: string): Promise<void> {
  const created = await client.POST("/v1/items/", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { name: "tour", description: "", status: "draft", metadata: { a: [1, null] } },
  });
  const item: Item = data(created);
  check(item.owner_id === owner && item.version === 1 && item.status === "draft", "not what was sent");
  const path = { id: item.id };
  const etag = created.response.headers.get("ETag") ?? "";
  const unchanged = await client.GET("/v1/items/{id}", { params: { path, header: { "If-None-Match": etag } } });
  check(unchanged.response.status === 304, "not 304");
  const replaced = data(await client.PUT("/v1/items/{id}", { params: { path }, body: { name: "replaced" } }));
  check(replaced.status === "active" && replaced.version === 2, "not the defaults");
  const stale = { params: { path, header: { "If-Match": etag } }, body: { description: null } };
  problem(await client.PATCH("/v1/items/{id}", stale), 412);
  const patched = data(await client.PATCH("/v1/items/{id}", { params: { path }, body: { status: "archived" } }));
  check(patched.status === "archived" && patched.name === "replaced", "not patched");
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
    check(page.total === 4, "not 4 in all");
    seen.push(...page.items.map((item) => item.name));
    cursor = page.next_cursor;
  } while (cursor !== null);
  check(seen.join() === "n0,n1,n2,n3", `seen ${seen.join()}`);
  const refused = problem(await client.GET("/v1/items/", { params: { query: { cursor: "forged" } } }), 422);
  check(refused.errors?.[0]?.parameter === "cursor", "not told which parameter");
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

async function lookAround(): Promise<void> {
  check(data(await client.GET("/health/live")).status === "live", "not live");
  const checks = data(await client.GET("/health/ready")).checks;
  check(checks["database"]?.status === "up", "no database");
  const root = data(await client.GET("/"));
  check(typeof root === "object" && root.links["v1"] === "/v1", "no v1");
  const told = data(await client.GET("/problems/{slug}", { params: { path: { slug: "not-found" } } }));
  check(typeof told === "object" && told.status === 404, "not explained");
}

await useItems(await logIn());
await listItems();
await manageAccount();
await lookAround();
