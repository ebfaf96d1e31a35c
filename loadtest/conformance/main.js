// The whole scenario: two Baileys clients and an instance of Warren at one simulator.
//
// SIMULATOR_URL, WARREN_URL, WARREN_KEY say where; NODE_EXTRA_CA_CERTS has the simulator's authority, because media comes by
// https. `cargo xtask conformance` starts everything and sets them.

import { Companion } from './companion.js'
import { files } from './files.js'
import { group } from './group.js'
import { chain, pairing } from './pairing.js'
import { setting } from './settings.js'
import { Simulator } from './simulator.js'
import { Failed, step, summary } from './steps.js'
import { offline, texts } from './texts.js'
import { Warren } from './warren.js'

async function scenario(stage) {
  await chain(stage)
  await pairing(stage)
  await texts(stage)
  await files(stage)
  await group(stage)
  await offline(stage)
}

const simulator = new Simulator(setting('SIMULATOR_URL'))
const warren = new Warren(setting('WARREN_URL'), setting('WARREN_KEY'))
const stage = { simulator, warren, anna: new Companion(simulator), budi: new Companion(simulator) }
let code = 0
try {
  await scenario(stage)
} catch (error) {
  if (!(error instanceof Failed)) throw error
  code = 1
}
await Promise.all([stage.anna.close(), stage.budi.close()])
process.stdout.write(`${summary()}\n`)
process.exit(code)
