// The progress of a scan on the page of its registry. Without scripts, the page loads itself again.
const base = document.querySelector('meta[name="base"]').content;
const bar = document.getElementById("progress");
const words = document.getElementById("progress-words");

/** A duration in words, as the server writes it. */
function duration(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function show({ state, counts, remainingSeconds }) {
  if (state === "queued") return;
  bar.max = Math.max(counts.tags, 1);
  bar.value = counts.tagsDone;
  const left = remainingSeconds === null ? "" : `, about ${duration(remainingSeconds)} left`;
  const waits = counts.throttledMs >= 1000 ? `, waited ${duration(Math.round(counts.throttledMs / 1000))} for the registry` : "";
  words.textContent = `${counts.tagsDone} of ${counts.tags} tags${left} (${counts.requests} requests${waits})`;
}

const stream = new EventSource(`${base}/api/v1/scans/${bar.dataset.scan}/events`);
stream.addEventListener("progress", (event) => show(JSON.parse(event.data)));
// The page shows the result.
stream.addEventListener("end", () => {
  stream.close();
  location.replace(location.pathname);
});
stream.addEventListener("error", () => {
  // The browser does not try again, as when all streams are taken.
  if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
});
