// Baileys checks the server's certificate chain, but its release candidate drops the result of libsignal's signature check,
// and it never compares the certified key with the one that the server shook hands with. Here both are done: every chain that
// Baileys reads goes through `checkChain`, and one that does not lead to the expected root ends the handshake.

import { createRequire } from 'node:module'
import { Curve, WA_CERT_DETAILS, proto } from 'baileys'

const require = createRequire(createRequire(import.meta.url).resolve('baileys'))
const signatures = require('libsignal/src/curve.js')
const KEY_TYPE = Buffer.from([5])

const state = { root: undefined, presented: undefined, seen: undefined, checked: 0 }

/** From here on, clients trust this root (32 bytes) and no other. */
export function trustRoot(root) {
  state.root = root
  WA_CERT_DETAILS.PUBLIC_KEY = root
}

/** How many chains were found to be good. */
export const chainsChecked = () => state.checked

/** The last chain that was found to be good, and the key that the server had then, for showing that changed ones are not. */
export const lastChain = () => state.seen

/** Throws, unless `root` signed the intermediate certificate, that one the leaf, both hold now, and the leaf is of `serverKey`. */
export function checkChain(chain, root, serverKey, now = Date.now()) {
  const intermediate = detailsOf(chain.intermediate, 'intermediate')
  const leaf = detailsOf(chain.leaf, 'leaf')
  demand(isSigned(root, chain.intermediate), 'the root did not sign the intermediate certificate')
  demand(intermediate.issuerSerial === WA_CERT_DETAILS.SERIAL, 'the intermediate certificate names another issuer')
  demand(isSigned(intermediate.key, chain.leaf), 'the intermediate certificate did not sign the leaf')
  demand(leaf.issuerSerial === intermediate.serial, 'the leaf names another issuer')
  demand(Buffer.compare(Buffer.from(leaf.key), Buffer.from(serverKey)) === 0, 'the leaf is of another key than the server has')
  for (const details of [intermediate, leaf]) {
    const [from, until] = [details.notBefore, details.notAfter].map(seconds => Number(seconds) * 1000)
    demand(from <= now && now <= until, 'a certificate does not hold now')
  }
}

function detailsOf(certificate, name) {
  demand(certificate?.details && certificate?.signature, `there is no ${name} certificate`)
  return proto.CertChain.NoiseCertificate.Details.decode(certificate.details)
}

function isSigned(key, certificate) {
  return Curve.verify(key, certificate.details, certificate.signature)
}

function demand(holds, otherwise) {
  if (!holds) throw new Error(`certificate chain: ${otherwise}`)
}

// Baileys' own checks ask this: with the boolean instead of "it did not throw", they mean something.
Curve.verify = (key, message, signature) => {
  try {
    const prefixed = key.length === 33 ? key : Buffer.concat([KEY_TYPE, key])
    return signatures.verifySignature(prefixed, message, signature) === true
  } catch {
    return false
  }
}

// A handshake agrees with the server's static key right before it reads the chain, in one turn.
const agree = Curve.sharedKey
Curve.sharedKey = (privateKey, publicKey) => {
  state.presented = publicKey
  return agree(privateKey, publicKey)
}

const decode = proto.CertChain.decode
proto.CertChain.decode = bytes => {
  const chain = decode(bytes)
  checkChain(chain, state.root, state.presented)
  state.seen = { chain, serverKey: state.presented }
  state.checked += 1
  return chain
}
