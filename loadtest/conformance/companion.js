// Baileys as somebody's linked device: pairs, goes on after what the server ends, and keeps what it was told.

import { DisconnectReason, downloadMediaMessage, initAuthCreds, makeWASocket, normalizeMessageContent, proto } from 'baileys'
import { logger } from './logger.js'
import { eventually } from './waiting.js'

const Status = proto.WebMessageInfo.Status

export class Companion {
  constructor(simulator) {
    this.simulator = simulator
    this.auth = { creds: initAuthCreds(), keys: keyStore() }
    this.messages = []
    this.statuses = new Map()
    this.receipts = []
    this.opened = 0
    this.sent = new Map()
  }

  /** Connects, and again whenever the server asks for it or cuts it off. */
  connect() {
    this.staysAway = this.isAway = false
    this.socket = makeWASocket({
      auth: this.auth,
      waWebSocketUrl: this.simulator.socket,
      logger,
      shouldSyncHistoryMessage: () => false,
      syncFullHistory: false,
      markOnlineOnConnect: true,
      // What a retry receipt asks for again.
      getMessage: async key => this.sent.get(key.id)
    })
    this.listen(this.socket.ev)
    return this
  }

  listen(events) {
    events.on('creds.update', update => Object.assign(this.auth.creds, update))
    events.on('connection.update', update => this.changed(update))
    events.on('messages.upsert', ({ messages }) => this.messages.push(...messages.filter(message => message.message)))
    events.on('messages.update', updates => updates.forEach(({ key, update }) => this.progressed(key.id, update.status)))
    events.on('message-receipt.update', updates => this.receipts.push(...updates))
  }

  changed({ connection, qr, lastDisconnect }) {
    if (qr) this.qr = qr
    if (connection === 'open') this.opened += 1
    if (connection !== 'close') return
    const reason = lastDisconnect?.error
    const code = reason?.output?.statusCode
    const isCut = this.opened > 0 && code === DisconnectReason.connectionClosed
    if (isCut && this.staysAway) this.isAway = true
    else if (isCut || code === DisconnectReason.restartRequired) this.connect()
    else this.ended = reason
  }

  progressed(id, status) {
    if (status) this.statuses.set(id, Math.max(status, this.statuses.get(id) ?? 0))
  }

  /** The text of the QR code it shows. */
  shownQr() {
    return eventually('a QR code', () => this.fail() || this.qr)
  }

  /** A code of eight characters for the phone with this number. */
  async code(phone) {
    await this.shownQr()
    return this.socket.requestPairingCode(phone)
  }

  /** Waits until it has logged in so many times. */
  async online(times = 1) {
    await eventually('it is online', () => this.fail() || this.opened >= times)
    this.phone = this.socket.user.id.split(/[:@]/)[0]
    return this.phone
  }

  fail() {
    if (this.ended) throw new Error(`it went away: ${this.ended.message}`)
  }

  async send(jid, content) {
    const sent = await this.socket.sendMessage(jid, content)
    this.sent.set(sent.key.id, sent.message)
    return sent
  }

  /** The message with this id, once it was received and decrypted. */
  received(id) {
    return eventually('it received the message', () => this.copies(id).find(message => !message.key.fromMe))
  }

  /** How often a message came out. */
  count(id) {
    return this.copies(id).length
  }

  /** The bytes of a message's file. */
  bytes(message) {
    return downloadMediaMessage(message, 'buffer', {}, { logger, reuploadRequest: this.socket.updateMediaMessage })
  }

  read(message) {
    return this.socket.readMessages([message.key])
  }

  /** Waits until a message of its own is delivered or read by a person. */
  status(id, wanted) {
    const least = { delivered: Status.DELIVERY_ACK, read: Status.READ }[wanted]
    return eventually(`it knows that the message is ${wanted}`, () => {
      const told = [this.statuses.get(id), ...this.copies(id).map(message => message.status)]
      return told.some(status => status >= least)
    })
  }

  /** Waits until so many members of a group have (or have read) a message of its own. */
  groupStatus(id, wanted, members) {
    const field = { delivered: 'receiptTimestamp', read: 'readTimestamp' }[wanted]
    return eventually(`it knows that ${members} members have it (${wanted})`, () => {
      const told = this.receipts.filter(({ key }) => key.id === id).map(({ receipt }) => receipt)
      const noted = this.copies(id).flatMap(message => message.userReceipt ?? [])
      return new Set([...told, ...noted].filter(receipt => receipt[field]).map(receipt => receipt.userJid)).size >= members
    })
  }

  /** The message as it was shown. What Baileys hears of it in the same breath, it notes there and tells nobody. */
  copies(id) {
    return this.messages.filter(message => message.key.id === id)
  }

  /** Is cut off by this, and does not come back before it connects. */
  async leave(cut) {
    this.staysAway = true
    await cut()
    await eventually('it is away', () => this.isAway)
  }

  close() {
    return this.socket?.end(undefined)
  }
}

/** The text of a message, whatever kind of text it is. */
export function textOf(message) {
  const content = normalizeMessageContent(message.message)
  return content?.conversation || content?.extendedTextMessage?.text
}

/** What Baileys keeps, in memory. */
function keyStore() {
  const kept = new Map()
  return {
    async get(type, ids) {
      const found = ids.map(id => [id, kept.get(`${type} ${id}`)])
      return Object.fromEntries(found.filter(([, value]) => value !== undefined))
    },
    async set(changes) {
      for (const [type, values] of Object.entries(changes)) {
        for (const [id, value] of Object.entries(values)) {
          if (value) kept.set(`${type} ${id}`, value)
          else kept.delete(`${type} ${id}`)
        }
      }
    }
  }
}
