// A group of three: each writes, the other two read it, and the writer hears from both.

import assert from 'node:assert/strict'
import { textOf } from './companion.js'
import { step } from './steps.js'
import { eventually } from './waiting.js'

export async function group({ anna, budi, instance }) {
  let id
  await step('Warren makes a group with both', async () => {
    id = await instance.group('Conformance', [anna.phone, budi.phone])
    for (const member of [anna, budi]) {
      const shown = await eventually('the member sees the group', () => member.socket.groupMetadata(id))
      assert.equal(shown.subject, 'Conformance')
      assert.equal(shown.participants.length, 3)
    }
  })

  await step('what Warren writes both read, and Warren hears so', async () => {
    const sent = await instance.send(id, 'text', { body: 'hello both' })
    const got = await Promise.all([anna, budi].map(member => member.received(sent.whatsapp_id)))
    assert.deepEqual(got.map(textOf), ['hello both', 'hello both'])
    await instance.status(sent, 'delivered')
    await Promise.all([anna.read(got[0]), budi.read(got[1])])
    await instance.status(sent, 'read')
    const receipts = await instance.receipts(sent)
    assert.equal(receipts.filter(receipt => receipt.read_at).length, 2)
  })

  for (const [writer, reader, name] of [[anna, budi, 'the first'], [budi, anna, 'the second']]) {
    await step(`what ${name} Baileys writes the other and Warren read, and it hears so`, async () => {
      const text = `hello from ${name}`
      const sent = await writer.send(id, { text })
      const atReader = await reader.received(sent.key.id)
      assert.equal(textOf(atReader), text)
      const atWarren = await instance.received(sent.key.id)
      assert.equal(atWarren.text.body, text)
      assert.equal(atWarren.chat, id)
      await writer.groupStatus(sent.key.id, 'delivered', 2)
      await reader.read(atReader)
      await instance.markRead(atWarren.message_id)
      await writer.groupStatus(sent.key.id, 'read', 2)
    })
  }
}
