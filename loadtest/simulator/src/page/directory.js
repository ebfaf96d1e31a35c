// Who is here: accounts under test, and people; and how to become one.

import { ask, post } from "./api.js";
import { byId, make, notice, onSubmit, show } from "./dom.js";

/** Sets the forms up; `changed` is called after something was made. */
export function begin(changed) {
  const linked = async (answer) => {
    notice(`Linked as device ${answer.device} of ${answer.phone}.`);
    await changed();
  };
  onSubmit(byId("scan"), async ({ qr, phone }) => {
    const query = phone ? `?${new URLSearchParams({ phone })}` : "";
    await linked(await ask(`mock-phone/scan-qr${query}`, { method: "POST", text: qr }));
    byId("scan").elements.qr.value = "";
  });
  onSubmit(byId("enter"), async ({ code, phone }) => {
    await linked(await post(`mock-phone/enter-code?${new URLSearchParams({ phone })}`, { code }));
  });
  onSubmit(byId("person"), async (person) => {
    await post("people", person);
    byId("person").reset();
    await changed();
  });
}

/** Everybody, as the simulator knows them now. */
export async function read() {
  const [{ accounts }, { people }] = await Promise.all([ask("accounts"), ask("people")]);
  return { accounts, people };
}

/** Shows them; `choose` is called with a person's number. */
export function render({ accounts, people }, chosen, choose) {
  const online = (account) => account.devices.filter((device) => device.connected).length;
  show(byId("accounts"), accounts.map((account) => make(
    "li", {},
    `${account.name} · ${account.phone} `,
    make("small", { textContent: `${online(account)} of ${account.devices.length} devices connected` }),
  )));
  const list = byId("people");
  show(list, people.map((person) => {
    const button = make("button", { type: "button" }, `${person.name} · ${person.phone} `);
    button.dataset.phone = person.phone;
    button.setAttribute("aria-current", String(person.phone === chosen));
    button.append(make("small", { textContent: `${person.inbox} received${person.online ? "" : ", offline"}` }));
    return make("li", {}, button);
  }));
  list.onclick = (event) => {
    const button = event.target.closest("button[data-phone]");
    if (button) choose(button.dataset.phone);
  };
}
