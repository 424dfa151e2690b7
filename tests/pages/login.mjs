// The login that the parts of look.mjs share.

/** Logs in as the admin, through the form; ends at the path. */
export async function logIn({ page, visit }, next = "/") {
  await visit(`/session?next=${encodeURIComponent(next)}`);
  await page.fill("#username", "admin");
  await page.fill("#password", process.env.SILO_TEST_PASSWORD);
  await Promise.all([page.waitForURL((at) => !at.pathname.endsWith("/session")), page.click("#login button")]);
}
