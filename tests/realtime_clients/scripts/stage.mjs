// What every script of a client for Node does: take orders line by line, and answer them.
import readline from 'node:readline';

console.log = console.error; // whatever a library prints is no answer

export async function run(scenarios) {
  const all = { ready: async () => 'ready', ...scenarios };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    let answer;
    try {
      answer = { result: await within(50_000, all[order.scenario](order.arguments)) ?? null };
    } catch (error) {
      answer = { failed: error.stack ?? String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  process.exit(0);
}

function within(ms, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// What `ready` gives once it gives something.
export async function until(ready, what, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = ready();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await sleep(10);
  }
}
