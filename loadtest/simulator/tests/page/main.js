// The simulator's page as somebody uses it, in a real browser without internet: Chromium from the machine's packages.
// What is seen is compared with what Warren says.

import { strict as assert } from "node:assert";
import { chromium } from "playwright-core";

const { SIMULATOR_URL, WARREN_URL, WARREN_KEY, CHROMIUM = "/usr/bin/chromium" } = process.env;
const PATIENCE_MS = 30_000;

async function warren(method, path, body) {
  const headers = { authorization: `Bearer ${WARREN_KEY}`, "content-type": "application/json" };
  const answer = await fetch(`${WARREN_URL}/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

/** Looks until something is there. */
async function eventually(what, look) {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > until) throw new Error(`waited ${PATIENCE_MS / 1000} s for: ${what}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

const step = async (name, work) => {
  try {
    const found = await work();
    console.log(`pass  ${name}`);
    return found;
  } catch (error) {
    console.log(`FAIL  ${name}`);
    throw error;
  }
};

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const elsewhere = [];
  const errors = [];
  page.on("request", (request) => request.url().startsWith(SIMULATOR_URL) || elsewhere.push(request.url()));
  page.on("pageerror", (error) => errors.push(error.message));
  // An answer of 4xx is shown to whoever asked; the browser writes it there too.
  page.on("console", (line) => {
    if (line.type() === "error" && !line.text().startsWith("Failed to load resource")) errors.push(line.text());
  });

  await step("the page opens", async () => {
    await page.goto(SIMULATOR_URL);
    await page.getByText("0 accounts, 0 people").waitFor();
  });

  const instance = await step("a pasted QR code links Warren's instance", async () => {
    const { id } = await warren("POST", "/instances", { name: "page" });
    await warren("POST", `/instances/${id}/pairing`, { method: "qr" });
    const qr = await eventually("a code", async () => (await warren("GET", `/instances/${id}/pairing`)).qr);
    await page.getByLabel("Text of the QR code").fill(qr);
    await page.getByLabel("Phone number that scans").fill("6281100000001");
    await page.getByRole("button", { name: "Scan it" }).click();
    await page.getByText("Linked as device 1 of 6281100000001.").waitFor();
    await eventually("online", async () => (await warren("GET", `/instances/${id}`)).state === "online");
    await page.getByText("1 of 1 devices connected").waitFor();
    return id;
  });

  await step("a wrong code is refused in words", async () => {
    await page.getByLabel("Text of the QR code").fill("no code");
    await page.getByRole("button", { name: "Scan it" }).click();
    await page.getByRole("alert").getByText("not the text of a linking QR code").waitFor();
  });

  await step("somebody is added and writes to the instance", async () => {
    const form = page.locator("#person");
    await form.getByLabel("Name").fill("Budi");
    await form.getByLabel("Phone number").fill("6281100000002");
    await form.getByRole("button", { name: "Add" }).click();
    await page.getByRole("button", { name: /Budi/ }).click();
    await page.locator("#write").getByLabel("To").selectOption("6281100000001");
    await page.locator("#write").getByLabel("Text").fill("halo <b>dari</b> halaman");
    await page.getByRole("button", { name: "Send" }).click();
    await page.locator("#messages").getByText("halo <b>dari</b> halaman").waitFor();
    const received = await eventually("the message", async () => {
      const { data } = await warren("GET", `/instances/${instance}/messages?direction=inbound`);
      return data[0];
    });
    assert.equal(received.text?.body ?? received.content?.text?.body ?? received.text, "halo <b>dari</b> halaman");
  });

  await step("what Warren writes is read on the page", async () => {
    await warren("POST", `/instances/${instance}/messages?wait=sent`, {
      to: "6281100000002", type: "text", text: { body: "selamat pagi" },
    });
    await page.locator("#messages").getByText("selamat pagi").waitFor();
  });

  await step("a habit is switched on", async () => {
    await page.getByLabel("answers with the same words").check();
    await warren("POST", `/instances/${instance}/messages?wait=sent`, {
      to: "6281100000002", type: "text", text: { body: "gema" },
    });
    await eventually("the echo", async () => {
      const { data } = await warren("GET", `/instances/${instance}/messages?direction=inbound`);
      return data.length === 2;
    });
  });

  await step("trouble is switched on and off again, and happens once", async () => {
    await page.locator("#trouble-of").selectOption("6281100000001");
    await page.getByLabel("messages are refused with this error").fill("463");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("alert").getByText("Applied.").waitFor();
    const standing = async () => (await fetch(`${SIMULATOR_URL}/admin/accounts/6281100000001/trouble`)).json();
    assert.equal((await standing()).nack, 463);
    await page.getByLabel("messages are refused with this error").fill("0");
    await page.getByRole("button", { name: "Apply" }).click();
    await eventually("it is off", async () => (await standing()).nack === null);
    await page.getByRole("button", { name: "Cut the connection" }).click();
    await page.getByRole("alert").getByText("Done; 1 connections were open.").waitFor();
    await eventually("online again", async () => (await warren("GET", `/instances/${instance}`)).state === "online");
  });

  await step("nothing came from elsewhere, nothing broke", async () => {
    assert.deepEqual(elsewhere, []);
    assert.deepEqual(errors, []);
  });
} finally {
  await browser.close();
}
