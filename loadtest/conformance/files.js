// An image and a document each way: what arrives is what was sent, byte for byte.

import assert from 'node:assert/strict'
import { normalizeMessageContent } from 'baileys'
import { document, picture, sha256 } from './samples.js'
import { step } from './steps.js'
import { jidOf } from './texts.js'

/** The smallest file that passes for a thumbnail: who makes one from the picture needs a library for pictures. */
const NO_THUMBNAIL = Buffer.from([0xff, 0xd8, 0xff, 0xd9]).toString('base64')

const KINDS = [
  { kind: 'image', what: 'an image', name: 'look.png', type: 'image/png', make: picture, more: { caption: 'look' } },
  { kind: 'document', what: 'a document', name: 'offer.pdf', type: 'application/pdf', make: document, more: { filename: 'offer.pdf' } }
]

export async function files({ anna, instance }) {
  for (const file of KINDS) {
    await step(`${file.what} of Warren reaches Baileys byte for byte`, () => toBaileys(file, anna, instance))
    await step(`${file.what} of Baileys reaches Warren byte for byte`, () => toWarren(file, anna, instance))
  }
}

async function toBaileys({ kind, name, type, make, more }, anna, instance) {
  const bytes = make()
  const sent = await instance.send(anna.phone, kind, { id: await instance.upload(name, type, bytes), ...more })
  const message = await anna.received(sent.whatsapp_id)
  const content = normalizeMessageContent(message.message)[`${kind}Message`]
  assert.equal(content.mimetype, type)
  assert.equal(content.caption || content.fileName, more.caption ?? more.filename)
  assert.equal(sha256(await anna.bytes(message)), sha256(bytes))
  await instance.status(sent, 'delivered')
}

async function toWarren({ kind, name, type, make, more }, anna, instance) {
  const bytes = make()
  const content = { [kind]: bytes, mimetype: type, fileName: name, caption: more.caption, jpegThumbnail: NO_THUMBNAIL }
  const sent = await anna.send(jidOf(instance.phone), content)
  const message = await instance.received(sent.key.id)
  assert.equal(message.type, kind)
  assert.equal(message[kind].mime_type, type)
  assert.equal(sha256(await instance.file(message[kind].id)), sha256(bytes))
  await anna.status(sent.key.id, 'delivered')
}
