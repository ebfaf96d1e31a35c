// Texts between two people, with what the writer hears of them.

import assert from 'node:assert/strict'
import { textOf } from './companion.js'
import { step } from './steps.js'

const FROM_WARREN = 'Apa kabar? 👋 Ünïcödé and a line\nmore'
const FROM_BAILEYS = 'Kabar baik 🙏 "quotes", <tags> & more'

export const jidOf = phone => `${phone}@s.whatsapp.net`

/** One text each way; delivery and read receipts at both ends. */
export async function texts({ anna, instance }) {
  let fromWarren
  let atAnna
  await step('a text of Warren reaches Baileys as it was written', async () => {
    fromWarren = await instance.send(anna.phone, 'text', { body: FROM_WARREN })
    atAnna = await anna.received(fromWarren.whatsapp_id)
    assert.equal(textOf(atAnna), FROM_WARREN)
    assert.equal(anna.count(fromWarren.whatsapp_id), 1)
  })
  await step('Warren hears that it was delivered', () => instance.status(fromWarren, 'delivered'))
  await step('Warren hears that it was read', async () => {
    await anna.read(atAnna)
    await instance.status(fromWarren, 'read')
  })

  let fromAnna
  let atWarren
  await step('a text of Baileys reaches Warren as it was written', async () => {
    fromAnna = await anna.send(jidOf(instance.phone), { text: FROM_BAILEYS })
    atWarren = await instance.received(fromAnna.key.id)
    assert.equal(atWarren.text.body, FROM_BAILEYS)
    assert.equal(atWarren.from.pn, jidOf(anna.phone))
  })
  await step('Baileys hears that it was delivered', () => anna.status(fromAnna.key.id, 'delivered'))
  await step('Baileys hears that it was read', async () => {
    await instance.markRead(atWarren.message_id)
    await anna.status(fromAnna.key.id, 'read')
  })
}

/** A text that is sent while the other side is away, and a client that comes back with the same keys. */
export async function offline({ anna, instance, simulator }) {
  await step('Baileys that was cut off comes back and gets what waited, once', async () => {
    const logins = anna.opened
    await anna.leave(() => simulator.drop(anna.phone))
    const sent = await instance.send(anna.phone, 'text', { body: 'while you were away' })
    anna.connect()
    await anna.online(logins + 1)
    assert.equal(textOf(await anna.received(sent.whatsapp_id)), 'while you were away')
    await instance.status(sent, 'delivered')
    assert.equal(anna.count(sent.whatsapp_id), 1)
  })
  await step('the server saw each message of Warren once, and nobody asked for one again', async () => {
    const truth = await simulator.truth(instance.phone)
    assert.ok(truth.accepted.length > 0)
    assert.deepEqual(truth.accepted.filter(message => message.copies !== 1), [])
    assert.equal(truth.retry_receipts_sent + truth.retry_receipts_received, 0, 'there were retry receipts')
  })
}
