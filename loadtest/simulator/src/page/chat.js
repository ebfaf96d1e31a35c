// A chat: what a person received, and what is written as that person from here.

import { ask, patch, post } from "./api.js";
import { attempt, byId, make, onSubmit, options, show } from "./dom.js";

/** Messages of an inbox that are shown. */
const SHOWN = 200;
const HABITS = [
  ["online", "online"],
  ["auto_receipt", "confirms delivery"],
  ["auto_read", "reads at once"],
  ["echo", "answers with the same words"],
];
/** What was written here, by person: the simulator keeps what a person gets, not what it sends. */
const written = new Map();
let last = { phone: null, order: 0, messages: [] };

export function begin(chosen, changed) {
  onSubmit(byId("write"), async ({ to, text }) => {
    const phone = chosen();
    const { messages } = await post(`people/${phone}/send`, { to, text });
    const own = written.get(phone) ?? [];
    own.push({ id: messages[0].id, to, text, at: Date.now() });
    written.set(phone, own.slice(-SHOWN));
    byId("write").elements.text.value = "";
    await changed();
  });
  byId("habits").addEventListener("change", (event) => {
    const { name, checked } = event.target;
    attempt(async () => {
      await patch(`people/${chosen()}`, { [name]: checked });
      await changed();
    });
  });
}

export async function render({ accounts, people }, phone) {
  const person = people.find((known) => known.phone === phone);
  byId("write").hidden = !person;
  if (!person) return;
  byId("who").textContent = `As ${person.name} (${person.phone})`;
  const everybody = [...accounts, ...people].filter((other) => other.phone !== phone);
  options(byId("write").elements.to, everybody.map((other) => [other.phone, `${other.name} · ${other.phone}`]));
  renderHabits(person);
  await readInbox(phone);
  const own = (written.get(phone) ?? []).map((message) => ({ ...message, own: true }));
  const all = [...last.messages, ...own].sort((a, b) => a.at - b.at).slice(-SHOWN);
  show(byId("messages"), all.map(line));
}

function renderHabits(person) {
  const switches = HABITS.map(([name, text]) => {
    const box = make("input", { type: "checkbox", name });
    box.toggleAttribute("checked", person[name]);
    return make("label", { className: "switch" }, box, text);
  });
  show(byId("habits"), switches);
}

/** Only what is new is read. */
async function readInbox(phone) {
  if (last.phone !== phone) last = { phone, order: 0, messages: [] };
  const { messages } = await ask(`people/${phone}/inbox?after=${last.order}`);
  for (const message of messages) {
    last.order = message.order;
    last.messages.push({ ...message, at: message.first_seen_ms });
  }
  last.messages = last.messages.slice(-SHOWN);
}

function line(message) {
  const where = message.own ? `to ${message.to}` : `from ${message.from}${message.group ? ` in ${message.group}` : ""}`;
  const item = make("li", { className: message.own ? "own" : "" }, words(message), make("br"));
  item.append(make("small", { textContent: `${where}, ${new Date(message.at).toLocaleTimeString()}` }));
  return item;
}

/** A message in words: its text, or what it is. */
function words(message) {
  if (message.emoji !== undefined) return message.emoji || "(reaction taken back)";
  if (message.kind === "revoke") return "(message deleted)";
  return message.text ?? `[${message.kind}] ${message.caption ?? message.media?.file_name ?? ""}`;
}
