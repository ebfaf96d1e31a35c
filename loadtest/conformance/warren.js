// Warren's API, as any program uses it.

import { ask } from './requests.js'
import { eventually } from './waiting.js'

export class Warren {
  constructor(url, key) {
    this.base = `${url}/v1`
    this.key = key
  }

  request(method, path, content = {}) {
    return ask(method, `${this.base}${path}`, { ...content, headers: { authorization: `Bearer ${this.key}` } })
  }

  async instance(name) {
    const made = await this.request('POST', '/instances', { json: { name } })
    return new Instance(this, made.id)
  }
}

/** One WhatsApp account at Warren. */
export class Instance {
  constructor(warren, id) {
    this.warren = warren
    this.id = id
  }

  request(method, path, content) {
    return this.warren.request(method, `/instances/${this.id}${path}`, content)
  }

  startPairing(how) {
    return this.request('POST', '/pairing', { json: how })
  }

  /** The QR code or the code of eight characters that is shown now. */
  shown(kind, patience) {
    return eventually(`Warren's ${kind}`, async () => (await this.request('GET', '/pairing'))[kind], patience)
  }

  /** Waits until it is online; its number. */
  online(patience) {
    return eventually('the instance is online', async () => {
      const now = await this.request('GET', '')
      if (now.state !== 'online') throw new Error(`it is ${now.state}`)
      this.phone = now.phone.replace('+', '')
      return this.phone
    }, patience)
  }

  /** Sends, and waits until the server has it. */
  async send(to, type, content) {
    const sent = await this.request('POST', '/messages?wait=sent', { json: { to, type, [type]: content } })
    if (sent.reason) throw new Error(`it was not sent: ${sent.reason}`)
    return sent
  }

  /** Waits until a message got this far. */
  status(message, wanted) {
    const order = ['queued', 'handed', 'sent', 'delivered', 'read', 'played']
    return eventually(`the message is ${wanted}`, async () => {
      const now = await this.warren.request('GET', `/messages/${message.id}`)
      if (order.indexOf(now.status) < order.indexOf(wanted)) throw new Error(`it is ${now.status}`)
      return now
    })
  }

  /** Who of a group has it, and how far. */
  async receipts(message) {
    return (await this.warren.request('GET', `/messages/${message.id}/receipts`)).data
  }

  /** The message that came with this id at WhatsApp. */
  received(whatsappId) {
    return eventually('Warren received it', async () => {
      const log = await this.warren.request('GET', `/events?instance=${this.id}&after=begin&limit=1000&type=message.received`)
      return log.data.map(event => event.data).find(message => message.whatsapp_id === whatsappId)
    })
  }

  /** Says that somebody read a message. */
  markRead(messageId) {
    return this.warren.request('POST', `/messages/${messageId}/read`, { json: {} })
  }

  /** Stores a file to send; its id. */
  async upload(name, type, bytes) {
    const form = new FormData()
    form.append('file', new Blob([bytes], { type }), name)
    return (await this.warren.request('POST', '/media', { body: form })).id
  }

  /** The bytes of a file that came; they are fetched in the background. */
  file(mediaId) {
    return eventually('Warren has the file', () => this.warren.request('GET', `/media/${mediaId}`))
  }

  /** Makes a group; its address. */
  async group(subject, participants) {
    return (await this.request('POST', '/groups', { json: { subject, participants } })).id
  }
}
