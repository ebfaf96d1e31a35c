// The admin API of the port that this page came from.

/** Asks; throws an Error with the answer's own words. */
export async function ask(path, { method = "GET", body, text } = {}) {
  const answer = await fetch(`admin/${path}`, {
    method,
    body: text ?? (body === undefined ? undefined : JSON.stringify(body)),
  });
  const content = await answer.text();
  const value = content === "" ? null : JSON.parse(content);
  if (!answer.ok) throw new Error(value?.detail ?? `error ${answer.status}`);
  return value;
}

export const post = (path, body = {}) => ask(path, { method: "POST", body });
export const patch = (path, body) => ask(path, { method: "PATCH", body });
