// Requests in JSON, of both APIs.

const LIMIT_MS = 40_000

/** Sends one and returns what came back; anything but success is an error that says what was answered. */
export async function ask(method, url, { json, body, headers = {} } = {}) {
  const answer = await fetch(url, {
    method,
    headers: { ...headers, ...(json === undefined ? {} : { 'content-type': 'application/json' }) },
    body: json === undefined ? body : JSON.stringify(json),
    signal: AbortSignal.timeout(LIMIT_MS)
  })
  const bytes = Buffer.from(await answer.arrayBuffer())
  if (!answer.ok) throw new Error(`${method} ${new URL(url).pathname}: ${answer.status} ${bytes.toString().slice(0, 300)}`)
  const isJson = answer.headers.get('content-type')?.includes('json')
  return isJson ? JSON.parse(bytes.toString()) : bytes
}
