// Whom clients trust, and how they are linked: by QR code and by a code that is typed.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Companion } from './companion.js'
import { step } from './steps.js'
import { chainsChecked, checkChain, lastChain, trustRoot } from './trust.js'
import { eventually } from './waiting.js'

const ANNA = '6281100000101'
const BUDI = '6281100000102'
const WARREN = '6281100000103'
const YEARS_AHEAD = 40 * 365 * 86_400_000

/** The certificate chain is checked: the published root leads to the server's key, and nothing else does. */
export async function chain({ simulator, anna }) {
  const trust = await simulator.trust()
  const root = Buffer.from(trust.root_public_key, 'hex')

  await step('a server whose chain leads to another root is refused before the client says who it is', async () => {
    trustRoot(randomBytes(32))
    const stranger = new Companion(simulator).connect()
    const reason = await eventually('the client goes away', () => stranger.ended)
    assert.match(reason.message, /certificate chain: the root did not sign/)
    assert.equal(stranger.qr, undefined)
    assert.equal(chainsChecked(), 0)
  })

  await step('a chain under the published root is accepted', async () => {
    trustRoot(root)
    await anna.connect().shownQr()
    assert.ok(chainsChecked() > 0, 'no chain was checked')
    assert.equal(Buffer.from(lastChain().serverKey).toString('hex'), trust.static_public_key)
  })

  await step('the same chain changed, late, or for another key is refused', async () => {
    const { chain, serverKey } = lastChain()
    checkChain(chain, root, serverKey)
    const changed = name => {
      const details = Buffer.from(chain[name].details)
      details[details.length - 1] ^= 1
      const other = { leaf: chain.leaf, intermediate: chain.intermediate }
      return { ...other, [name]: { details, signature: chain[name].signature } }
    }
    assert.throws(() => checkChain(changed('intermediate'), root, serverKey), /the root did not sign/)
    assert.throws(() => checkChain(changed('leaf'), root, serverKey), /did not sign the leaf/)
    assert.throws(() => checkChain(chain, root, randomBytes(32)), /another key/)
    assert.throws(() => checkChain(chain, root, serverKey, Date.now() + YEARS_AHEAD), /does not hold now/)
    assert.throws(() => checkChain({ leaf: chain.leaf }, root, serverKey), /no intermediate/)
  })
}

/** Three accounts: one client linked by QR code, one by a typed code, Warren's instance by QR code. */
export async function pairing(stage) {
  const { simulator, warren, anna, budi } = stage

  await step('Baileys is linked by QR code and logs in', async () => {
    const scanned = await simulator.scan(await anna.shownQr(), ANNA)
    assert.equal(scanned.phone, ANNA)
    assert.equal(await anna.online(), ANNA)
  })

  await step('Baileys is linked by a typed code and logs in', async () => {
    const code = await budi.connect().code(BUDI)
    const typed = await simulator.enterCode(BUDI, code)
    assert.equal(typed.phone, BUDI)
    assert.equal(await budi.online(), BUDI)
  })

  await step('Warren is linked by QR code and is online', async () => {
    stage.instance = await warren.instance('conformance')
    await stage.instance.startPairing({ method: 'qr' })
    await simulator.scan(await stage.instance.shown('qr'), WARREN)
    assert.equal(await stage.instance.online(), WARREN)
  })

  await step('every login checked the chain', async () => {
    // Two before they were linked, two after.
    assert.ok(chainsChecked() >= 4, `only ${chainsChecked()} chains were checked`)
  })
}
