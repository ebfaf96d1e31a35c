// The simulator's admin API: what people with phones do.

import { ask } from './requests.js'

export class Simulator {
  constructor(url) {
    this.url = url
  }

  /** Where clients connect. */
  get socket() {
    return `${this.url.replace(/^http/, 'ws')}/ws/chat`
  }

  trust() {
    return ask('GET', `${this.url}/admin/trust`)
  }

  /** A phone scans a QR code: a fresh one, or the one with this number. */
  scan(qr, phone) {
    return ask('POST', `${this.url}/admin/mock-phone/scan-qr${phone ? `?phone=${phone}` : ''}`, { body: qr })
  }

  /** Somebody types a code on the phone with this number. */
  enterCode(phone, code) {
    return ask('POST', `${this.url}/admin/mock-phone/enter-code?phone=${phone}`, { json: { code } })
  }

  /** The connections of an account are cut. */
  drop(phone) {
    return ask('POST', `${this.url}/admin/accounts/${phone}/drop`, { json: {} })
  }

  /** What really happened to an account's messages. */
  truth(phone) {
    return ask('GET', `${this.url}/admin/accounts/${phone}/ground-truth`)
  }
}
