// The simulator's page as somebody uses it, in a real browser without internet. What is seen is compared with what Warren says.
//
// CHROMIUM is the browser; the rest as in main.js. `cargo xtask page` starts everything and sets them.

import { strict as assert } from 'node:assert'
import { chromium } from 'playwright-core'
import { ask } from './requests.js'
import { setting } from './settings.js'
import { Failed, step, summary } from './steps.js'
import { eventually } from './waiting.js'
import { Warren } from './warren.js'

const PATIENCE_MS = 30_000
const ACCOUNT = '6281100000001'
const BUDI = '6281100000002'

const simulator = setting('SIMULATOR_URL')
const warren = new Warren(setting('WARREN_URL'), setting('WARREN_KEY'))
const inbound = async instance => (await instance.request('GET', '/messages?direction=inbound')).data

/** A page, and what happened on it that should not: requests to elsewhere, and errors. */
async function open(browser) {
  const page = await browser.newPage()
  page.setDefaultTimeout(PATIENCE_MS)
  const elsewhere = []
  const errors = []
  page.on('request', request => request.url().startsWith(simulator) || elsewhere.push(request.url()))
  page.on('pageerror', error => errors.push(error.message))
  // An answer of 4xx is shown to whoever asked; the browser writes it there too.
  page.on('console', line => {
    if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) errors.push(line.text())
  })
  return { page, elsewhere, errors }
}

async function link(page) {
  await step('the page opens', async () => {
    await page.goto(simulator)
    await page.getByText('0 accounts, 0 people').waitFor()
  })
  const instance = await step("a pasted QR code links Warren's instance", async () => {
    const instance = await warren.instance('page')
    await instance.startPairing({ method: 'qr' })
    await page.getByLabel('Text of the QR code').fill(await instance.shown('qr', PATIENCE_MS))
    await page.getByLabel('Phone number that scans').fill(ACCOUNT)
    await page.getByRole('button', { name: 'Scan it' }).click()
    await page.getByText(`Linked as device 1 of ${ACCOUNT}.`).waitFor()
    await instance.online(PATIENCE_MS)
    await page.getByText('1 of 1 devices connected').waitFor()
    return instance
  })
  await step('a wrong code is refused in words', async () => {
    await page.getByLabel('Text of the QR code').fill('no code')
    await page.getByRole('button', { name: 'Scan it' }).click()
    await page.getByRole('alert').getByText('not the text of a linking QR code').waitFor()
  })
  return instance
}

async function chat(page, instance) {
  await step('somebody is added and writes to the instance', async () => {
    const form = page.locator('#person')
    await form.getByLabel('Name').fill('Budi')
    await form.getByLabel('Phone number').fill(BUDI)
    await form.getByRole('button', { name: 'Add' }).click()
    await page.getByRole('button', { name: /Budi/ }).click()
    await page.locator('#write').getByLabel('To').selectOption(ACCOUNT)
    await page.locator('#write').getByLabel('Text').fill('halo <b>dari</b> halaman')
    await page.getByRole('button', { name: 'Send' }).click()
    await page.locator('#messages').getByText('halo <b>dari</b> halaman').waitFor()
    const received = await eventually('the message', async () => (await inbound(instance))[0], PATIENCE_MS)
    assert.equal(received.text?.body ?? received.content?.text?.body ?? received.text, 'halo <b>dari</b> halaman')
  })
  await step('what Warren writes is read on the page', async () => {
    await instance.send(BUDI, 'text', { body: 'selamat pagi' })
    await page.locator('#messages').getByText('selamat pagi').waitFor()
  })
  await step('a habit is switched on', async () => {
    await page.getByLabel('answers with the same words').check()
    await instance.send(BUDI, 'text', { body: 'gema' })
    await eventually('the echo', async () => (await inbound(instance)).length === 2, PATIENCE_MS)
  })
}

async function trouble(page, instance) {
  await step('trouble is switched on and off again, and happens once', async () => {
    const standing = () => ask('GET', `${simulator}/admin/accounts/${ACCOUNT}/trouble`)
    await page.locator('#trouble-of').selectOption(ACCOUNT)
    await page.getByLabel('messages are refused with this error').fill('463')
    await page.getByRole('button', { name: 'Apply' }).click()
    await page.getByRole('alert').getByText('Applied.').waitFor()
    assert.equal((await standing()).nack, 463)
    await page.getByLabel('messages are refused with this error').fill('0')
    await page.getByRole('button', { name: 'Apply' }).click()
    await eventually('it is off', async () => (await standing()).nack === null, PATIENCE_MS)
    await page.getByRole('button', { name: 'Cut the connection' }).click()
    await page.getByRole('alert').getByText('Done; 1 connections were open.').waitFor()
    await instance.online(PATIENCE_MS)
  })
}

const browser = await chromium.launch({ executablePath: setting('CHROMIUM'), args: ['--no-sandbox', '--disable-gpu'] })
let code = 0
try {
  const { page, elsewhere, errors } = await open(browser)
  const instance = await link(page)
  await chat(page, instance)
  await trouble(page, instance)
  await step('nothing came from elsewhere, nothing broke', async () => {
    assert.deepEqual(elsewhere, [])
    assert.deepEqual(errors, [])
  })
} catch (error) {
  if (!(error instanceof Failed)) throw error
  code = 1
} finally {
  await browser.close()
}
process.stdout.write(`${summary()}\n`)
process.exit(code)
