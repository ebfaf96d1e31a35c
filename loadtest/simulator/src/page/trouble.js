// Trouble: standing faults of one account or of all, and what happens once.

import { ask, post } from "./api.js";
import { attempt, byId, make, notice, options } from "./dom.js";

const ALL = "";
/** Fields of a fault with a number or a switch: name, words, the value that is off. */
const FAULTS = [
  ["withhold_acks", "acks are not sent", false],
  ["withhold_receipts", "receipts are not handed on", false],
  ["nack", "messages are refused with this error", 0],
  ["ack_delay_ms", "acks come later, milliseconds", 0],
  ["drop_messages", "so many messages are lost", 0],
  ["refuse_codes", "pairing codes are refused with this error", 0],
  ["new_chats_left", "so many more strangers may be written to, empty for any", ""],
  ["drop_deliveries", "so many messages to it come at its next login", 0],
  ["delivery_delay_ms", "what it gets comes later, milliseconds", 0],
  ["bytes_per_second", "its line takes so many bytes a second, 0 for any", 0],
];
/** What happens once to an account: words, path, body. */
const EVENTS = [
  ["Cut the connection", "drop", {}],
  ["Replaced elsewhere", "stream-error", { conflict: "replaced" }],
  ["Stream error 503", "stream-error", { code: 503 }],
  ["Stream error 515", "stream-error", { code: 515 }],
  ["Stream error 429", "stream-error", { code: 429 }],
  ["Refuse the next login (403)", "failure", { reason: 403 }],
  ["Unlink the device", "unlink", {}],
];

/** What the fields said when they were filled. */
let filled = {};

const path = () => (byId("trouble-of").value === ALL ? "trouble" : `accounts/${byId("trouble-of").value}/trouble`);

export function begin() {
  const form = byId("trouble");
  for (const [name, text, off] of FAULTS) {
    const kind = off === false ? { type: "checkbox" } : { type: "number", min: 0 };
    const field = make("input", { name, ...kind });
    form.append(off === false ? make("label", { className: "switch" }, field, text) : make("label", {}, text, field));
  }
  const limit = make("input", { name: "reachout_limit", type: "number", min: 0 });
  form.append(make("label", {}, "strangers are refused with 463 for so many seconds", limit), make("button", {}, "Apply"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(apply);
  });
  for (const [text, what, body] of EVENTS) {
    const button = make("button", { type: "button", textContent: text });
    button.addEventListener("click", () => attempt(() => happen(what, body)));
    byId("events").append(button);
  }
  byId("trouble-of").addEventListener("change", () => attempt(fill));
  return attempt(fill);
}

export function render({ accounts }) {
  const choices = accounts.map((account) => [account.phone, `${account.name} · ${account.phone}`]);
  options(byId("trouble-of"), [[ALL, "everybody"], ...choices]);
}

/** Shows the faults that stand. */
async function fill() {
  const standing = await ask(path());
  const fields = byId("trouble").elements;
  for (const [name, , off] of FAULTS) {
    if (off === false) fields[name].checked = standing[name] !== false && standing[name] !== 0;
    else fields[name].value = Number.isInteger(standing[name]) ? standing[name] : off;
  }
  const until = standing.reachout_limit?.until_ms ?? 0;
  fields.reachout_limit.value = Math.max(0, Math.ceil((until - Date.now()) / 1000));
  filled = read();
  byId("events").hidden = byId("trouble-of").value === ALL;
}

/** What a field says; empty where that is off, it says that there is no limit. */
function said(field, off) {
  if (off === false) return field.checked;
  return field.value === "" && off === "" ? true : Number(field.value);
}

/** What the fields say. */
function read() {
  const fields = byId("trouble").elements;
  const faults = Object.fromEntries(FAULTS.map(([name, , off]) => {
    return [name, said(fields[name], off)];
  }));
  return { ...faults, reachout_limit: Number(fields.reachout_limit.value) };
}

/** Changes what was changed here: what else stands, set by a request, stays. */
async function apply() {
  const { reachout_limit: seconds, ...change } = read();
  for (const name of Object.keys(change)) if (change[name] === filled[name]) delete change[name];
  if (seconds !== filled.reachout_limit) change.reachout_limit = { for_s: seconds };
  await post(path(), change);
  await fill();
  notice("Applied.");
}

async function happen(what, body) {
  const answer = await post(`accounts/${byId("trouble-of").value}/${what}`, body);
  notice(answer?.connections === undefined ? "Done." : `Done; ${answer.connections} connections were open.`);
}
