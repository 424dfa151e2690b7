// A batch whose runs go on: its page shows their states while they change. Without scripts, it loads itself again.
import { PACE, refresh } from "./live.js";
import { say } from "./silo.js";

const isActive = (root) => root.querySelector(".batch[data-active]") !== null;

async function follow() {
  const goesOn = document.hidden || (await refresh().then(isActive, () => true));
  goesOn ? setTimeout(follow, PACE) : say("The batch is over");
}

if (isActive(document)) setTimeout(follow, PACE);
