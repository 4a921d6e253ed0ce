// The Agents SDK's build for browsers, with a short-lived key, as a page would use it.
/* global OpenAIAgentsRealtime */

function until(ready, what) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 20_000;
    const look = () => {
      const found = ready();
      if (found) resolve(found);
      else if (Date.now() > deadline) reject(new Error(`waited in vain for ${what}`));
      else setTimeout(look, 20);
    };
    look();
  });
}

async function agentTurn({ url, apiKey, model, text, audio }) {
  const { RealtimeAgent, RealtimeSession } = OpenAIAgentsRealtime;
  const agent = new RealtimeAgent({ name: '主持人' });
  const session = new RealtimeSession(agent, { transport: 'websocket', model });
  const found = { outputs: [], bytes: 0, errors: [] };
  session.on('agent_end', (_context, _agent, output) => found.outputs.push(output));
  session.on('audio', ({ data }) => { found.bytes += data.byteLength; });
  session.on('error', ({ error }) => found.errors.push(JSON.stringify(error)));
  await session.connect({ apiKey, url: `${url}?model=${encodeURIComponent(model)}` });
  session.sendMessage(text);
  await until(() => found.outputs.length === 1, 'an answer to a text');
  for (const piece of audio) {
    session.sendAudio(Uint8Array.from(atob(piece), (each) => each.charCodeAt(0)).buffer);
  }
  await until(() => found.outputs.length === 2, 'an answer to speech');
  await until(() => session.history.some((item) => item.content?.[0].transcript
    && item.role === 'user'), `a transcript in ${JSON.stringify(session.history)}`);
  const [heard] = session.history.filter((item) => item.content?.[0].type === 'input_audio');
  session.close();
  return { ...found, heard: heard.content[0].transcript };
}
