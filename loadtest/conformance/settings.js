// What `cargo xtask` says of where everything is.

export function setting(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: run \`cargo xtask conformance\` or \`cargo xtask page\``)
  return value
}
