// Each step is one line: what holds, whether it does, and why not.

const results = []

/** Runs a step and prints how it went. A step that fails ends the run: what follows builds on it. */
export async function step(name, work) {
  const begun = Date.now()
  try {
    const found = await work()
    results.push(true)
    print('pass', name, begun)
    return found
  } catch (error) {
    results.push(false)
    print('FAIL', name, begun)
    process.stdout.write(`      ${error.stack ?? error}\n`)
    throw new Failed()
  }
}

/** A step failed, and was printed. */
export class Failed extends Error {}

/** The last line. */
export function summary() {
  const passed = results.filter(Boolean).length
  return `${passed} of ${results.length} steps passed`
}

function print(word, name, begun) {
  process.stdout.write(`${word}  ${name} (${Date.now() - begun} ms)\n`)
}
