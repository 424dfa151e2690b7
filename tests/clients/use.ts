// Uses the types that openapi-typescript has made: use.ts URL PASSWORD.
import createClient from "openapi-fetch";
import type { paths } from "./silo";

const [url, password] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url });

function check(fine: boolean, what: unknown): asserts fine {
  if (!fine) throw new Error(JSON.stringify(what));
}

const version = await client.GET("/api/v1/version");
check(version.data?.seedVersion === "1.0.0", version);
const login = await client.POST("/api/v1/login", { body: { username: "admin", password } });
check(login.data !== undefined, login.error);
const headers = { Authorization: `Bearer ${login.data.token}` };
const me = await client.GET("/api/v1/me", { headers });
check(me.data?.role === "admin", me);

const query = { q: "ndvi", facets: true, facet: ["valid:true", "gpu:false"] };
const found = await client.GET("/api/v1/search", { params: { query } });
check(found.data !== undefined && found.data.total >= 1 && found.data.items[0].valid, found.error ?? found.data);
const jobs = await client.GET("/api/v1/jobs", { params: { query: { limit: 1 } } });
check(jobs.data !== undefined && jobs.data.next !== null, jobs.error ?? jobs.data);
const job = await client.GET("/api/v1/jobs/{id}", { params: { path: { id: jobs.data.items[0].id } } });
check(job.data !== undefined && job.data.versions.length >= 1, job);
const refused = await client.POST("/api/v1/registries", { headers, body: { name: "demo", url: "http://127.0.0.1:1" } });
check(refused.error !== undefined && refused.error.detail !== "", refused);

// A stream, by address alone, as EventSource opens it.
const ticket = await client.POST("/api/v1/tickets", { headers });
check(ticket.data !== undefined, ticket.error);
const scans = await client.GET("/api/v1/scans", { headers });
check(scans.data !== undefined, scans.error);
const stream = await fetch(`${url}/api/v1/scans/${scans.data.items[0].id}/events?ticket=${ticket.data.ticket}`, {
  headers: { Accept: "text/event-stream" },
});
check((await stream.text()).includes("event: end"), stream.status);
console.log("the TypeScript client works");
