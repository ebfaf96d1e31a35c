// What Baileys says is of use only to who looks for a fault: it names people, and libsignal even prints sessions with their keys.

const levels = ['trace', 'debug', 'info', 'warn', 'error']
const level = levels.includes(process.env.BAILEYS_LOG) ? process.env.BAILEYS_LOG : 'silent'

const write = name => (...said) => process.stderr.write(`${name} ${said.map(plain).join(' ')}\n`)
const silent = () => {}

function plain(said) {
  if (typeof said === 'string') return said
  return JSON.stringify(said, (_, value) => (value instanceof Error ? (value.stack ?? value.message) : value))
}

export const logger = { level, child: () => logger }
for (const name of levels) {
  const isOn = level !== 'silent' && levels.indexOf(name) >= levels.indexOf(level)
  logger[name] = isOn ? write(name) : silent
}

if (level === 'silent') {
  for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = silent
}
