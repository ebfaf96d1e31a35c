// Reads who is here again and again, and shows it.

import { ask } from "./api.js";
import * as chat from "./chat.js";
import * as directory from "./directory.js";
import { byId } from "./dom.js";
import * as trouble from "./trouble.js";

const PAUSE_MS = 1000;
let chosen = null;

async function refresh() {
  const everybody = await directory.read();
  chosen ??= everybody.people[0]?.phone ?? null;
  directory.render(everybody, chosen, choose);
  trouble.render(everybody);
  await chat.render(everybody, chosen);
  const stats = await ask("stats");
  byId("summary").textContent =
    `${everybody.accounts.length} accounts, ${everybody.people.length} people, ${stats.messages_relayed} messages relayed`;
}

async function choose(phone) {
  chosen = phone;
  await refresh();
}

async function keepReading() {
  try {
    if (!document.hidden) await refresh();
  } catch (error) {
    byId("summary").textContent = `Not connected: ${error.message}`;
  }
  setTimeout(keepReading, PAUSE_MS);
}

directory.begin(refresh);
chat.begin(() => chosen, refresh);
await trouble.begin();
await keepReading();
