// Waiting for a condition, with a deadline.

/** How long a step waits for what normally takes milliseconds: other programs share the machine. */
const PATIENCE_MS = 60_000
const PAUSE_MS = 25

/** Looks again and again until `look` returns something, and returns it. A look that throws is waited out too. */
export async function eventually(what, look, patience = PATIENCE_MS) {
  const until = Date.now() + patience
  let last
  for (;;) {
    try {
      const found = await look()
      if (found) return found
      last = undefined
    } catch (error) {
      last = error
    }
    if (Date.now() > until) throw new Error(`waited ${patience / 1000} s for: ${what}${last ? ` (${last.message})` : ''}`)
    await new Promise(resume => setTimeout(resume, PAUSE_MS))
  }
}
